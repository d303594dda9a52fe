#include "engine/text/normalize.h"

#include <doctest/doctest.h>

#include <string>

using namespace swarm::engine::text;

// Expected values: unicodedata.normalize("NFC", ...) of CPython 3.
TEST_CASE("normalize: characters compose, what is not UTF-8 stays") {
  CHECK(normalize_nfc("") == "");
  CHECK(normalize_nfc("plain") == "plain");
  CHECK(normalize_nfc("e\xcc\x81") == "\xc3\xa9");                       // e + acute
  CHECK(normalize_nfc("\xc3\xa9") == "\xc3\xa9");
  CHECK(normalize_nfc("q\xcc\x87\xcc\xa3") == "q\xcc\xa3\xcc\x87");    // marks are reordered
  CHECK(normalize_nfc("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab") == "\xed\x95\x9c");  // Hangul
  CHECK(normalize_nfc("\xe2\x84\xab") == "\xc3\x85");                   // Angstrom sign
  CHECK(normalize_nfc("\xe0\xa5\x98") == "\xe0\xa4\x95\xe0\xa4\xbc");  // stays decomposed
  CHECK(normalize_nfc("\xef\xac\x81") == "\xef\xac\x81");               // a ligature stays
  CHECK(normalize_nfc("e\xcc\x81\xff" "e\xcc\x81\xcc") == "\xc3\xa9\xff\xc3\xa9\xcc");
  CHECK(normalize_nfc(std::string("a\0e\xcc\x81", 5)) == std::string("a\0\xc3\xa9", 4));
}
