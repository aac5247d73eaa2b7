#include "http_answer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../wim/error.h"

namespace transfer {

namespace {

constexpr size_t kHeadLimit = 64u << 10;
constexpr size_t kTextLimit = 64u << 10;
// Answers before the final one.
constexpr int kMostBefore = 100;
const char kHeadEnd[] = "\r\n\r\n";

// `status` may be its first digits.
bool HasStatus(const std::string& head, const char* status) {
  return head.compare(0, 7, "HTTP/1.") == 0 && head.compare(8, 1 + std::strlen(status), " " + std::string(status)) == 0;
}

// How much there is to read, as far as it is wanted.
size_t TextSize(const std::string& head) {
  if (HasStatus(head, "204") || HasStatus(head, "304")) return 0;
  std::string lower = head;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const char name[] = "\r\ncontent-length:";
  const size_t at = lower.find(name);
  if (at == std::string::npos) return kTextLimit;
  const unsigned long long length = std::strtoull(lower.c_str() + at + std::strlen(name), nullptr, 10);
  return static_cast<size_t>(std::min<unsigned long long>(kTextLimit, length));
}

}  // namespace

std::string ReceiveHead(Socket& socket, std::string* rest) {
  std::string text;
  std::vector<char> piece(kHeadLimit);
  for (int before = 0;;) {
    const size_t size = socket.Receive(piece.data(), piece.size());
    if (size == 0) throw wim::Error("ECONNRESET", "the other side ended the connection without an answer");
    text.append(piece.data(), size);
    for (size_t end = text.find(kHeadEnd); end != std::string::npos; end = text.find(kHeadEnd)) {
      end += std::strlen(kHeadEnd);
      if (!HasStatus(text, "1")) {
        *rest = text.substr(end);
        text.resize(end);
        return text;
      }
      text.erase(0, end);
      if (++before > kMostBefore) throw wim::Error("HPE_HEADER_OVERFLOW", "the other side announces an answer without end");
    }
    if (text.size() > kHeadLimit) throw wim::Error("HPE_HEADER_OVERFLOW", "the head of the answer has no end");
  }
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

}  // namespace transfer
