// The server as a whole: the HTTP side with its jobs, and the stdio side.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "engine/base/async/deadline.h"
#include "mcp/message/line_reader.h"
#include "mcp/serve.h"
#include "mcp/server/endpoint.h"
#include "mcp/transport/url.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kOutgoingLinesMax = 1024;   // lines; notices beyond are dropped, answers wait
constexpr size_t kJobsMax = 256;             // requests at once over stdio
constexpr size_t kInputReadBytes = 64 * 1024;
constexpr milliseconds kExpireEvery{30000};
constexpr milliseconds kAnswersTail{2000};   // for what is queued when the input has ended
constexpr milliseconds kPause{2};

// The messages of one request over stdio: lines among those of others.
class LineReply final : public Reply {
 public:
  explicit LineReply(Channel<std::string>& lines) : lines_(lines) {}
  void send(std::string message) override { lines_.try_send(std::move(message)); }
  void finish(std::string message, int) override {
    if (!lines_.try_send(message)) last_ = std::move(message);
    stop().close();
  }
  // An answer for which there was no room.
  std::string take_last() { return std::exchange(last_, {}); }

 private:
  Channel<std::string>& lines_;
  std::string last_;
};

// Tasks run among the jobs of a server, while it accepts any.
class TaskHome {
 public:
  TaskHome(Service& service, Nursery& jobs) : service_(service) { service_.run_tasks_in(&jobs); }
  ~TaskHome() { service_.run_tasks_in(nullptr); }
  TaskHome(const TaskHome&) = delete;
  TaskHome& operator=(const TaskHome&) = delete;

 private:
  Service& service_;
};

// One client on two descriptors.
class StdioDialogue {
 public:
  StdioDialogue(Service& service, const Executor& executor, int input, int output)
      : service_(service),
        in_(executor, ::fcntl(input, F_DUPFD_CLOEXEC, 3)),
        out_(executor, ::fcntl(output, F_DUPFD_CLOEXEC, 3)),
        lines_(kOutgoingLinesMax),
        session_(std::make_shared<LegacySession>()) {
    session_->unasked = std::make_shared<LineReply>(lines_);
    service_.join(session_);
  }

  Async<> run() {
    co_await with_nursery([this](Nursery& writer) -> Async<> {
      writer.start(write_loop());
      co_await with_nursery([this](Nursery& jobs) -> Async<> {
        const TaskHome home(service_, jobs);
        co_await read_loop(jobs);
        service_.end_subscriptions();  // they would wait for ever
        co_await settle([&] { return jobs.running() == 0; });
        jobs.cancel();
      });
      lines_.close();
      co_await settle([this] { return lines_.size() == 0; });
    });
  }

 private:
  // Waits for `done`, but not for ever: whoever closed our input may still read our output.
  template <class Done>
  static Async<> settle(Done done) {
    const Deadline deadline = Deadline::after(steady_clock(), kAnswersTail);
    while (!done() && !deadline.passed(steady_clock().now()))
      co_await wait_until(steady_clock(), steady_clock().now() + kPause);
  }

  Async<> write_loop() {
    while (true) {
      std::optional<std::string> line = co_await lines_.receive();
      if (!line) co_return;
      *line += '\n';
      error_code code;
      co_await net::async_write(out_, net::buffer(*line),
                                net::redirect_error(net::use_awaitable, code));
      if (code == net::error::operation_aborted) throw boost::system::system_error(code);
      if (code) {
        lines_.close();
        co_return;
      }
    }
  }

  Async<> read_loop(Nursery& jobs) {
    LineReader reader(service_.options().body_bytes_max);
    std::string buffer(kInputReadBytes, '\0');
    while (lines_.is_open()) {
      error_code code;
      const size_t got = co_await in_.async_read_some(
          net::buffer(buffer), net::redirect_error(net::use_awaitable, code));
      if (code == net::error::operation_aborted) throw boost::system::system_error(code);
      if (code) co_return;
      reader.feed(std::string_view(buffer).substr(0, got),
                  [&](std::string_view line) { take(line, jobs); });
    }
  }

  void take(std::string_view line, Nursery& jobs) {
    std::vector<Incoming> messages = decode_line(line, service_.options().body_bytes_max);
    if (messages.empty() && !line.empty())
      lines_.try_send(encode_error(nullptr, -32700, "not a JSON-RPC message"));
    for (Incoming& message : messages) take(std::move(message), jobs);
  }

  void take(Incoming message, Nursery& jobs) {
    if (message.kind == Incoming::Kind::notification) return service_.notice(message, *session_);
    if (message.kind != Incoming::Kind::request) return service_.settle(message, *session_);
    if (jobs.running() >= kJobsMax) {
      lines_.try_send(encode_error(message.id, kInternalError, "too many requests at once"));
      return;
    }
    RequestContext context;
    const Json params = message.payload.is_object() ? message.payload : Json::object();
    const Json meta = params.value("_meta", Json::object());
    const bool modern = message.method == "server/discover" ||
                        meta.contains("io.modelcontextprotocol/protocolVersion");
    if (message.method == "initialize" && !modern) {
      const Json hello = service_.greet(params, *session_);
      lines_.try_send(encode_result(message.id, hello));
      return;
    }
    try {
      if (modern) service_.read_meta(params, context);
    } catch (const RpcException& e) {
      lines_.try_send(encode_error(message.id, e.details().code, e.details().text,
                                   e.details().data));
      return;
    }
    const auto reply = std::make_shared<LineReply>(lines_);  // with the job
    context.reply = reply;
    context.id = message.id;
    if (!modern) {
      context.version = session_->version;
      context.capabilities = session_->capabilities;
      context.session = session_;
    }
    const std::string key = dump_json(message.id);
    session_->running[key] = reply;
    const auto job = std::make_shared<std::pair<Incoming, RequestContext>>(
        std::move(message), std::move(context));  // with the child
    jobs.start([this, job, reply, key]() -> Async<> {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        nursery.start([&]() -> Async<> {
          co_await service_.answer(std::move(job->first), std::move(job->second));
        });
        co_await reply->stop().receive();
        nursery.cancel();
      });
      session_->running.erase(key);
      std::string last = reply->take_last();
      if (!last.empty()) co_await lines_.send(std::move(last));
    });
  }

  Service& service_;
  net::posix::stream_descriptor in_, out_;
  Channel<std::string> lines_;
  const std::shared_ptr<LegacySession> session_;  // shared with its requests
};

class ServerImpl final : public Server {
 public:
  ServerImpl(const Served& served, ServeOptions options, Executor executor, Log& log)
      : service_(served, options, log), executor_(std::move(executor)), log_(log) {}

  Async<> run_stdio(int input, int output) override {
    StdioDialogue dialogue(service_, executor_, input, output);
    co_await dialogue.run();
  }

  void listen() override {
    const ServeOptions& options = service_.options();
    if (!is_loopback_name(options.host) && options.bearer_token.empty())
      throw ErrorException(invalid_input("host \"" + options.host +
                                         "\" is open to others: it needs a bearer token"));
    for (const std::string& origin : options.origins) {
      const auto url = parse_url(origin);
      if (!url || url->origin() != origin)
        throw ErrorException(invalid_input("origin: expected http(s)://host[:port], found \"" +
                                           origin + "\""));
    }
    ListenerOptions listener;
    listener.host = options.host;
    listener.port = options.port;
    listener.body_bytes_max = options.body_bytes_max;
    listener.connections_max = options.connections_max;
    listener_ = std::make_unique<HttpListener>(listener, executor_, log_);
    listener_->listen();
    endpoint_ = std::make_unique<Endpoint>(service_, listener_->port());
  }

  std::string url() const override {
    const std::string& host = service_.options().host;
    const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
    return "http://" + name + ":" + std::to_string(listener_->port()) + service_.options().path;
  }

  Async<> run_http() override {
    co_await with_nursery([this](Nursery& jobs) -> Async<> {
      const TaskHome home(service_, jobs);
      jobs.start([this]() -> Async<> {
        while (true) {
          co_await wait_until(steady_clock(), steady_clock().now() + kExpireEvery);
          endpoint_->expire();
        }
      });
      co_await listener_->run([this, &jobs](ServerRequest& request, Responder& responder) {
        return endpoint_->handle(request, responder, jobs);
      });
    });
  }

  Announcer& announcer() override { return service_; }

 private:
  Service service_;
  const Executor executor_;
  Log& log_;
  std::unique_ptr<HttpListener> listener_;
  std::unique_ptr<Endpoint> endpoint_;
};

}  // namespace

std::unique_ptr<Server> make_server(const Served& served, ServeOptions options, Executor executor,
                                    Log& log) {
  return std::make_unique<ServerImpl>(served, std::move(options), std::move(executor), log);
}

}  // namespace swarm::mcp
