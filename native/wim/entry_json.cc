#include "entry_json.h"

#include <algorithm>
#include <iterator>

#include "text.h"

namespace stowage::wim {

namespace {

constexpr size_t kPieceSize = 1 << 20;

// JSON text in UTF-8, which holds no lone surrogates: they are escaped.
class JsonText {
 public:
  explicit JsonText(Bytes* to) : to_(to) {}

  void Raw(std::string_view text) { to_->insert(to_->end(), text.begin(), text.end()); }
  void Number(uint64_t number) {
    char digits[20];
    char* at = digits + sizeof digits;
    do *--at = static_cast<char>('0' + number % 10);
    while (number /= 10);
    Raw({at, static_cast<size_t>(digits + sizeof digits - at)});
  }
  void Text(const std::string& text) {
    to_->push_back('"');
    if (std::all_of(text.begin(), text.end(), IsPlain)) {
      Raw(text);
    } else {
      Utf16(Utf16FromWtf8(text));
    }
    to_->push_back('"');
  }
  void Hex(std::string_view bytes) {
    const size_t from = to_->size();
    to_->resize(from + 2 * bytes.size());
    uint8_t* at = to_->data() + from;
    for (const char byte : bytes) {
      *at++ = static_cast<uint8_t>(kDigits[static_cast<uint8_t>(byte) >> 4]);
      *at++ = static_cast<uint8_t>(kDigits[byte & 15]);
    }
  }
  // "2026-11-21T10:40:05.1234567Z"; years after 9999 have six digits and a sign, as in ISO 8601 and JavaScript.
  void Time(uint64_t filetime) {
    constexpr uint64_t kTicks = 10000000;
    const uint64_t second = filetime / kTicks;
    const uint64_t days = second / 86400;
    const uint64_t clock = second % 86400;
    // Civil date from days, in eras of 400 years that begin on 1 March: 1601-01-01 is day 306 of the era of 1600.
    const uint64_t day_of_eras = days + 306;
    const uint64_t era = day_of_eras / 146097;
    const uint64_t day = day_of_eras % 146097;
    const uint64_t year_of_era = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    const uint64_t day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint64_t month = (5 * day_of_year + 2) / 153;
    const uint64_t month_of_year = month < 10 ? month + 3 : month - 9;
    const uint64_t year = 1600 + era * 400 + year_of_era + (month_of_year <= 2 ? 1 : 0);
    char text[] = "0000-00-00T00:00:00.0000000Z\"";
    Raw(year > 9999 ? "\"+" : "\"");
    if (year > 9999) {
      char more[] = "00";
      Digits(more, 2, year / 10000);
      Raw(more);
    }
    Digits(text, 4, year % 10000);
    Digits(text + 5, 2, month_of_year);
    Digits(text + 8, 2, day_of_year - (153 * month + 2) / 5 + 1);
    Digits(text + 11, 2, clock / 3600);
    Digits(text + 14, 2, clock / 60 % 60);
    Digits(text + 17, 2, clock % 60);
    Digits(text + 20, 7, filetime % kTicks);
    Raw(text);
  }

 private:
  static constexpr char kDigits[] = "0123456789abcdef";

  // Whether it needs no escape.
  static bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }
  static void Digits(char* to, int count, uint64_t number) {
    for (int n = count - 1; n >= 0; n--, number /= 10) to[n] = static_cast<char>('0' + number % 10);
  }
  void HexByte(uint8_t byte) {
    to_->push_back(static_cast<uint8_t>(kDigits[byte >> 4]));
    to_->push_back(static_cast<uint8_t>(kDigits[byte & 15]));
  }
  void Escape(char16_t unit) {
    Raw("\\u");
    HexByte(static_cast<uint8_t>(unit >> 8));
    HexByte(static_cast<uint8_t>(unit));
  }
  void Ascii(char c) {
    if (c == '"' || c == '\\') to_->push_back('\\');
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      Escape(static_cast<char16_t>(c));
    } else {
      to_->push_back(static_cast<uint8_t>(c));
    }
  }
  void Utf16(const std::u16string& text) {
    for (size_t at = 0; at < text.size(); at++) {
      const char16_t unit = text[at];
      const bool high = unit >= 0xd800 && unit <= 0xdbff;
      const bool pair = high && at + 1 < text.size() && text[at + 1] >= 0xdc00 && text[at + 1] <= 0xdfff;
      if (unit < 0x80) {
        Ascii(static_cast<char>(unit));
      } else if (pair) {
        Raw(Wtf8FromUtf16(text.substr(at++, 2)));
      } else if (unit < 0xa0 || (unit >= 0xd800 && unit <= 0xdfff)) {
        Escape(unit);
      } else {
        Raw(Wtf8FromUtf16({&unit, 1}));
      }
    }
  }

  Bytes* to_;
};

// One member of an object: `name` is the text before its value, punctuation included.
void PutNumber(JsonText& json, std::string_view name, uint64_t value) {
  json.Raw(name);
  json.Number(value);
}

void PutHex(JsonText& json, std::string_view name, std::string_view bytes) {
  json.Raw(name);
  json.Hex(bytes);
  json.Raw("\"");
}

void PutTime(JsonText& json, std::string_view name, uint64_t filetime) {
  json.Raw(name);
  json.Time(filetime);
}

void PutLinkGroup(JsonText& json, uint64_t group) {
  std::string digits;
  for (uint64_t rest = group; rest != 0; rest >>= 4) digits.insert(digits.begin(), "0123456789abcdef"[rest & 15]);
  json.Raw(",\"linkGroup\":\"");
  json.Raw(digits);
  json.Raw("\"");
}

void PutUnixData(JsonText& json, const std::array<uint32_t, 4>& data) {
  const auto& [uid, gid, mode, rdev] = data;
  PutNumber(json, ",\"unix\":{\"uid\":", uid);
  PutNumber(json, ",\"gid\":", gid);
  PutNumber(json, ",\"mode\":", mode);
  PutNumber(json, ",\"rdev\":", rdev);
  json.Raw("}");
}

void PutStream(JsonText& json, const EntryFacts::Stream& stream) {
  json.Raw("{");
  if (!stream.name.empty()) {
    json.Raw("\"name\":");
    json.Text(stream.name);
    json.Raw(",");
  }
  const wimlib_resource_entry& resource = stream.resource;
  const std::string_view sha1(reinterpret_cast<const char*>(resource.sha1_hash), sizeof resource.sha1_hash);
  if (std::any_of(sha1.begin(), sha1.end(), [](char byte) { return byte != 0; })) {
    PutHex(json, "\"sha1\":\"", sha1);
    json.Raw(",");
  }
  PutNumber(json, "\"size\":", resource.uncompressed_size);
  json.Raw(resource.is_missing ? ",\"missing\":true}" : "}");
}

}  // namespace

void EntryJson::Add(const EntryFacts& entry) {
  const bool first = pieces_.empty() && start_ == Start::kFirst;
  if (pieces_.empty() || pieces_.back().size() >= kPieceSize) {
    pieces_.emplace_back();
    pieces_.back().reserve(kPieceSize + kPieceSize / 8);
  }
  JsonText json(&pieces_.back());
  json.Raw(first ? "{\"path\":" : ",\n{\"path\":");
  json.Text(entry.path);
  if (!entry.short_name.empty()) {
    json.Raw(",\"shortName\":");
    json.Text(entry.short_name);
  }
  PutNumber(json, ",\"attributes\":", entry.attributes);
  if (entry.reparse_tag != 0) PutNumber(json, ",\"reparseTag\":", entry.reparse_tag);
  PutTime(json, ",\"created\":", entry.created);
  PutTime(json, ",\"written\":", entry.written);
  PutTime(json, ",\"accessed\":", entry.accessed);
  PutNumber(json, ",\"linkCount\":", entry.link_count);
  if (entry.link_group != 0) PutLinkGroup(json, entry.link_group);
  if (entry.unix_data) PutUnixData(json, *entry.unix_data);
  if (!entry.object_id.empty()) PutHex(json, ",\"objectId\":\"", entry.object_id);
  if (!entry.security.empty()) PutHex(json, ",\"security\":\"", entry.security);
  json.Raw(",\"streams\":[");
  for (size_t n = 0; n < entry.streams.size(); n++) {
    if (n > 0) json.Raw(",");
    PutStream(json, entry.streams[n]);
  }
  json.Raw("]}");
}

List EntryJson::Take() { return {std::make_move_iterator(pieces_.begin()), std::make_move_iterator(pieces_.end())}; }

}  // namespace stowage::wim
