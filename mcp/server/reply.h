// mcp/server/reply.h — Where the messages that belong to one request go: a line writer (stdio) or
// an event stream (HTTP). Lives as long as its request and whoever still reads it. One strand.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "engine/base/async/channel.h"

namespace swarm::mcp {

class Reply {
 public:
  virtual ~Reply() = default;
  // A notification or a request of ours, before the answer.
  virtual void send(std::string message) = 0;
  // The answer; nothing follows. http_status: of an answer that nothing preceded.
  virtual void finish(std::string message, int http_status) = 0;
  // No answer will come: the request was cancelled. Nothing after finish().
  virtual void abandon() {}
  virtual void hang_up(std::chrono::milliseconds) {}
  // Closed when the answer is in or nobody wants it any more.
  Channel<bool>& stop() { return stop_; }

 private:
  Channel<bool> stop_{0};
};

// Messages with numbers, so that a client that lost its connection can ask for the rest.
class EventStream final : public Reply {
 public:
  struct Event {
    int64_t number = 0;
    std::string message;               // "" = a priming event
  };
  // Events beyond events_max push out the oldest: a reader that slow has lost them.
  EventStream(std::string name, size_t events_max)
      : name_(std::move(name)), events_max_(events_max) {}

  void send(std::string message) override { push(std::move(message)); }
  void finish(std::string message, int http_status) override {
    push(std::move(message));
    finished_ = answered_ = true;
    status_ = http_status;
    stop().close();
  }
  void abandon() override {
    if (!finished_) end();
  }
  void hang_up(std::chrono::milliseconds retry) override {
    retry_ = retry;
    hung_up_ = true;
    news_.try_send(true);
  }
  // Ends the stream without an answer (a server that goes, a subscription that ends).
  void end() {
    finished_ = true;
    news_.try_send(true);
    stop().close();
  }

  const std::string& name() const { return name_; }
  // The first event after `number`; nullptr when there is none yet.
  const Event* after(int64_t number) const {
    for (const Event& event : events_)
      if (event.number > number) return &event;
    return nullptr;
  }
  bool finished() const { return finished_; }
  bool answered() const { return answered_; }    // finished by an answer
  int64_t last() const { return last_; }
  int status() const { return status_; }
  // True once after hang_up().
  bool take_hang_up() { return std::exchange(hung_up_, false); }
  std::chrono::milliseconds retry() const { return retry_; }
  Channel<bool>& news() { return news_; }

 private:
  void push(std::string message) {
    events_.push_back({++last_, std::move(message)});
    if (events_.size() > events_max_) events_.pop_front();
    news_.try_send(true);
  }

  const std::string name_;
  const size_t events_max_;
  std::deque<Event> events_;
  Channel<bool> news_{1};              // wakes the reader
  int64_t last_ = 0;
  int status_ = 200;
  std::chrono::milliseconds retry_{1000};
  bool finished_ = false, answered_ = false, hung_up_ = false;
};

// One of several requests that share a stream (a batch of 2025-03-26): the last one ends it.
class BatchReply final : public Reply {
 public:
  // open: how many of the batch are to be answered yet, common to all of them.
  BatchReply(std::shared_ptr<EventStream> events, std::shared_ptr<size_t> open)
      : events_(std::move(events)), open_(std::move(open)) {}

  void send(std::string message) override { events_->send(std::move(message)); }
  void finish(std::string message, int) override {
    done_ = true;
    if (--*open_ == 0)
      events_->finish(std::move(message), 200);
    else
      events_->send(std::move(message));
    stop().close();
  }
  void abandon() override {
    if (!done_ && --*open_ == 0) events_->end();
    done_ = true;
  }

 private:
  const std::shared_ptr<EventStream> events_;  // with the connection that reads it
  const std::shared_ptr<size_t> open_;
  bool done_ = false;
};

}  // namespace swarm::mcp
