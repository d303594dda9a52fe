// The compiled part of Boost.Asio's SSL layer; the build uses separate compilation.
#include <boost/asio/ssl/impl/src.hpp>
