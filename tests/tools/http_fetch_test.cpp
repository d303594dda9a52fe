#include <doctest/doctest.h>

#include <string>

#include "engine/base/async/run.h"
#include "tools/http_fetch.h"

namespace swarm::tools {
namespace {

TEST_CASE("html to text: what a reader sees, whatever the bytes") {
  struct Case {
    const char* html;
    const char* want;
  };
  const Case cases[] = {
      {"<h1>A</h1><p>one  two\n three</p>", "A\n\none two three"},
      {"<script>var x = '<p>no</p>';</script>yes<STYLE>p{}</STYLE>", "yes"},
      {"a<!-- <b>no</b> -->b", "ab"},
      {"<ul><li>x<li>y</ul>", "- x\n- y"},
      {"<a href=\"https://h/p\">here</a> and <a href='#top'>up</a>", "here (https://h/p) and up"},
      {"1 &lt; 2 &amp;&amp; 3 &#62; 2 &#x20AC; &unknown; &",
       "1 < 2 && 3 > 2 \xE2\x82\xAC &unknown; &"},
      {"<tr><td>1</td><td>2</td></tr>", "1 2"},
      {"cut <b", "cut"},
      {"<script>never closed", ""},
      {"", ""},
      {"\xff<p>\xc3", "\xEF\xBF\xBD\n\xEF\xBF\xBD"},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.html));
    CHECK(html_to_text(one.html) == one.want);
  }
  // Linear: a megabyte of what could be an end, or a beginning.
  CHECK(html_to_text("<script>" + std::string(1 << 20, '<')).empty());
  CHECK(html_to_text(std::string(1 << 20, '&')).size() == size_t{1} << 20);
}

TEST_CASE("http_fetch: pages as text, errors as errors, bytes that are no text are not shown") {
  HttpPage page;
  Error error;
  const auto get = [&](std::string url, size_t) -> Async<HttpPage> {
    if (!error.message.empty()) throw ErrorException(error);
    HttpPage out = page;
    out.url = url;
    co_return out;
  };
  const auto tool = make_http_fetch(get);
  const auto fetch = [&] {
    Json arguments = Json::object();
    arguments["url"] = "http://h/";
    return run_root(tool->call(arguments, ToolContext{}));
  };
  page.status = 200;
  page.content_type = "text/html";
  page.body = "<p>hello</p>";
  CHECK(fetch().text == "[200 http://h/]\nhello");
  page.content_type = "application/json";
  page.body = "{\"a\":\"<p>\"}";
  CHECK(fetch().text == "[200 http://h/]\n{\"a\":\"<p>\"}");
  page.cut = true;
  CHECK(fetch().text.find("[only the first 11 bytes were read]") != std::string::npos);
  CHECK(fetch().truncated);
  page.cut = false;
  page.content_type = "image/png";
  CHECK(fetch().text == "[200 http://h/]\n[11 bytes of image/png, not shown]");
  page.status = 404;
  CHECK(fetch().is_error);
  error = environment_error("http://h: is an address of a private network");
  CHECK(fetch().text == error.message);
  CHECK(fetch().is_error);
}

}  // namespace
}  // namespace swarm::tools
