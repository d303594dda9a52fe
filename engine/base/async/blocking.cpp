#include "engine/base/async/blocking.h"

#include <boost/asio/thread_pool.hpp>

#include "engine/base/check.h"

namespace swarm {

struct BlockingPool::Threads {
  explicit Threads(size_t count) : pool(count) {}
  boost::asio::thread_pool pool;
};

BlockingPool::BlockingPool(size_t threads) {
  SWARM_CHECK(threads > 0);
  threads_ = std::make_unique<Threads>(threads);
}

BlockingPool::~BlockingPool() { threads_->pool.join(); }

Executor BlockingPool::executor() const { return threads_->pool.get_executor(); }

}  // namespace swarm
