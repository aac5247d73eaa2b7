#include "http_answer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "../base/error.h"

namespace stowage::transfer {

namespace {

constexpr size_t kHeadLimit = 64u << 10;
constexpr size_t kTextLimit = 64u << 10;
// Interim answers before the final one.
constexpr int kMostBefore = 100;
// Offset of the first digit of the status.
constexpr size_t kStatusPlace = 9;
const char kHeadEnd[] = "\r\n\r\n";

// `status` may be just the first digits.
bool HasStatus(const std::string& head, const char* status) {
  return head.size() > kStatusPlace && head.compare(0, 7, "HTTP/1.") == 0 &&
         head.compare(kStatusPlace - 1, 1 + std::strlen(status), " " + std::string(status)) == 0;
}

// Removes all complete heads of interim answers, and returns how many there were.
int DropInterim(std::string* text) {
  int count = 0;
  for (; HasStatus(*text, "1"); count++) {
    const size_t end = text->find(kHeadEnd);
    if (end == std::string::npos) break;
    text->erase(0, end + std::strlen(kHeadEnd));
  }
  return count;
}

// False at the end.
bool ReceiveMore(Socket& socket, std::string* text) {
  std::vector<char> piece(kHeadLimit);
  const size_t size = socket.Receive(piece.data(), piece.size());
  text->append(piece.data(), size);
  return size > 0;
}

// How much of the body to read.
size_t TextSize(const std::string& head) {
  if (HasStatus(head, "204") || HasStatus(head, "304")) return 0;
  std::string lower = head;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const char name[] = "\r\ncontent-length:";
  const size_t at = lower.find(name);
  if (at == std::string::npos) return kTextLimit;
  const unsigned long long length = std::strtoull(lower.c_str() + at + std::strlen(name), nullptr, 10);
  return static_cast<size_t>(std::min<unsigned long long>(kTextLimit, length));
}

}  // namespace

std::string ReceiveHead(Socket& socket, std::string* rest) {
  std::string text = std::exchange(*rest, {});
  for (int before = 0;;) {
    before += DropInterim(&text);
    if (before > kMostBefore) throw Error("HPE_HEADER_OVERFLOW", "the server sends interim answers without end");
    const size_t end = text.find(kHeadEnd);
    if (end != std::string::npos) {
      *rest = text.substr(end + std::strlen(kHeadEnd));
      text.resize(end + std::strlen(kHeadEnd));
      return text;
    }
    if (text.size() > kHeadLimit) throw Error("HPE_HEADER_OVERFLOW", "the head of the answer is too long");
    if (!ReceiveMore(socket, &text)) throw Error("ECONNRESET", "the server closed the connection without an answer");
  }
}

bool ReceiveInterim(Socket& socket, std::string* rest) {
  if (!ReceiveMore(socket, rest)) return false;
  DropInterim(rest);
  if (rest->size() > kHeadLimit) return false;
  return rest->size() <= kStatusPlace || HasStatus(*rest, "1");
}

bool HasBlob(const std::string& head) { return HasStatus(head, "200") || HasStatus(head, "206"); }

std::string ReceiveText(Socket& socket, const std::string& head, std::string rest) {
  const size_t wanted = TextSize(head);
  std::vector<char> piece(kTextLimit);
  while (rest.size() < wanted) {
    const size_t size = socket.Receive(piece.data(), piece.size());
    if (size == 0) break;
    rest.append(piece.data(), size);
  }
  rest.resize(std::min(rest.size(), wanted));
  return rest;
}

}  // namespace stowage::transfer
