#include "mending.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "blob_table.h"
#include "compressors.h"
#include "directory_streams.h"
#include "limits.h"
#include "metadata.h"
#include "resource.h"

namespace stowage::wim {

namespace {

using Raw = Mending::Raw;
using Out = Mending::Out;

// In the header.
constexpr size_t kBlobTableAt = 0x30;
constexpr size_t kXmlAt = 0x48;
constexpr size_t kBootMetadataAt = 0x60;
constexpr size_t kIntegrityAt = 0x7c;

// In an entry of the blob table.
constexpr size_t kPartAt = 24;
constexpr size_t kReferencesAt = 26;
constexpr size_t kHashAt = 30;

// What precedes a resource in a pipable WIM: magic number, size, SHA-1, flags. Source: wimlib.
constexpr size_t kPipedHeaderSize = 40;
constexpr uint64_t kPipedMagic = 0x2b9b9ba2443db9d8;
constexpr size_t kPipedFlagsAt = 36;

constexpr size_t kPiece = 1u << 20;

Sha1Hash HashOf(const Raw& bytes) {
  Sha1 sha1;
  sha1.Update(bytes.data(), bytes.size());
  return sha1.Finish();
}

Raw ReadRaw(const File& file, uint64_t offset, uint64_t size) {
  if (offset > file.size() || size > file.size() - offset) {
    throw Error("WIM_CORRUPT", file.path() + ": a resource ends past the end of the file");
  }
  Raw bytes(size);
  file.Read(bytes.data(), bytes.size(), offset);
  return bytes;
}

void PutResource(uint8_t* to, const ResourceHeader& resource) {
  Raw bytes;
  Store(bytes, resource.size_in_wim | static_cast<uint64_t>(resource.flags) << 56);
  Store(bytes, resource.offset);
  Store(bytes, resource.uncompressed_size);
  std::copy(bytes.begin(), bytes.end(), to);
}

void PutHash(uint8_t* to, const Sha1Hash& hash) { std::copy(hash.begin(), hash.end(), to); }

// Chunks of `bytes`, compressed, each with its own size if it did not shrink.
std::vector<Raw> CompressChunks(const Raw& bytes, const Header& header, const MendOptions& options) {
  const size_t chunk_size = header.chunk_size;
  std::vector<Raw> chunks((bytes.size() + chunk_size - 1) / chunk_size);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    Compressors compressors;
    for (size_t n = next++; n < chunks.size(); n = next++) {
      const size_t size = std::min(chunk_size, bytes.size() - n * chunk_size);
      const uint8_t* const from = bytes.data() + n * chunk_size;
      Raw copy(from, from + size);  // the compressor overwrites it
      Raw packed(size);
      packed.resize(
          compressors.Compress(header.compression, header.chunk_size, options.level, copy.data(), size, packed.data()));
      if (packed.empty()) packed.assign(from, from + size);
      chunks[n] = std::move(packed);
    }
  };
  const size_t wanted = options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::future<void>> others;
  // `deferred` too: if no thread can be started, this one does the work.
  for (size_t n = 1; n < std::min(wanted, chunks.size()); n++) {
    others.push_back(std::async(std::launch::async | std::launch::deferred, work));
  }
  work();
  for (std::future<void>& other : others) other.get();
  return chunks;
}

// Stores `bytes` as a resource with the WIM's compression, or raw if that does not make them smaller.
Raw Pack(const Raw& bytes, const Header& header, const MendOptions& options, uint8_t* flags) {
  *flags = ResourceHeader::kMetadata;
  if (header.compression == WIMLIB_COMPRESSION_TYPE_NONE || bytes.empty()) return bytes;
  const std::vector<Raw> chunks = CompressChunks(bytes, header, options);
  Raw table;
  Raw packed;
  uint64_t end = 0;
  for (size_t n = 0; n < chunks.size(); n++) {
    if (header.pipable) Store(packed, static_cast<uint32_t>(chunks[n].size()));
    packed.insert(packed.end(), chunks[n].begin(), chunks[n].end());
    end += chunks[n].size();
    if (n + 1 < chunks.size()) Store(table, static_cast<uint32_t>(end));
  }
  packed.insert(header.pipable ? packed.end() : packed.begin(), table.begin(), table.end());
  if (packed.size() >= bytes.size()) return bytes;
  *flags |= ResourceHeader::kCompressed;
  return packed;
}

// Both hold the same files with the same streams.
bool SameTree(const Metadata& a, const Metadata& b) {
  const auto same_text = [&](const Span& in_a, const Span& in_b) {
    return in_a.size == in_b.size && std::memcmp(a.bytes(in_a), b.bytes(in_b), in_a.size) == 0;
  };
  const auto same_dentry = [&](const Dentry& in_a, const Dentry& in_b) {
    return in_a.parent == in_b.parent && in_a.stream_count == in_b.stream_count && same_text(in_a.name, in_b.name);
  };
  const auto same_stream = [&](const Stream& in_a, const Stream& in_b) {
    return in_a.type == in_b.type && in_a.hash == in_b.hash && same_text(in_a.name, in_b.name);
  };
  return std::equal(a.dentries().begin(), a.dentries().end(), b.dentries().begin(), b.dentries().end(), same_dentry) &&
         std::equal(a.streams().begin(), a.streams().end(), b.streams().begin(), b.streams().end(), same_stream);
}

Raw BytesOf(const IntegrityTable& table) {
  Raw bytes;
  Store(bytes, static_cast<uint32_t>(12 + table.hashes.size() * sizeof(Sha1Hash)));
  Store(bytes, static_cast<uint32_t>(table.hashes.size()));
  Store(bytes, table.chunk_size);
  for (const Sha1Hash& hash : table.hashes) bytes.insert(bytes.end(), hash.begin(), hash.end());
  return bytes;
}

// Hashes a WIM for its integrity table while it is written from front to back.
class Hashing {
 public:
  // `chunk_size`: 0 if it has no integrity table.
  Hashing(const Out& write, uint32_t chunk_size) : write_(write) { table_.chunk_size = chunk_size; }

  uint64_t written() const { return written_; }

  void Write(const Raw& bytes) {
    write_(bytes.data(), bytes.size());
    for (size_t done = 0; done < bytes.size() && table_.chunk_size != 0;) {
      const uint64_t at = written_ + done;
      const bool in_header = at < Header::kSize;
      const uint64_t left =
          in_header ? Header::kSize - at : table_.chunk_size - (at - Header::kSize) % table_.chunk_size;
      const auto part = static_cast<size_t>(std::min<uint64_t>(bytes.size() - done, left));
      if (!in_header) {
        chunk_.Update(bytes.data() + done, part);
        open_ = part < left;
        if (!open_) table_.hashes.push_back(chunk_.Finish());
      }
      done += part;
    }
    written_ += bytes.size();
  }

  // For what has been written. Called once.
  Raw IntegrityTableSoFar() {
    if (open_) table_.hashes.push_back(chunk_.Finish());
    return BytesOf(table_);
  }

 private:
  const Out& write_;
  IntegrityTable table_;
  Sha1 chunk_;
  // A chunk has begun, and not ended.
  bool open_ = false;
  uint64_t written_ = 0;
};

}  // namespace

Mending::Mending(const File& file, const MendOptions& options)
    : file_(file), header_(Header::From(file)), options_(options) {
  if (header_.blob_table.size_in_wim == 0) return;
  Decompressors decompressors;
  table_ = ReadWhole(Resource::From(file, header_, header_.blob_table), BlobTable::LargestSize(file), decompressors);
  table_.resize(table_.size() / BlobTable::kEntrySize * BlobTable::kEntrySize);
  for (size_t entry = 0; entry < table_.size(); entry += BlobTable::kEntrySize) {
    const uint8_t* const bytes = table_.data() + entry;
    const ResourceHeader at = ResourceHeader::From(bytes);
    if (Load16(bytes + kPartAt) != header_.part || (at.flags & ResourceHeader::kFree)) continue;
    if (!(at.flags & ResourceHeader::kMetadata) || (at.flags & ResourceHeader::kSolid)) {
      // The offset of a blob in a solid resource is not one in the file, and no larger than what the resource holds
      const bool in_solid = (at.flags & ResourceHeader::kSolid) && at.uncompressed_size != BlobTable::kSolidResource;
      if (!in_solid) blobs_end_ = std::max(blobs_end_, at.offset + at.size_in_wim);
      continue;
    }
    Image image;
    image.at = at;
    Sha1Hash hash;
    std::memcpy(hash.data(), bytes + kHashAt, hash.size());
    if (!images_.emplace(at.offset, std::move(image)).second) continue;
    if (Load32(bytes + kReferencesAt) > 0) Examine(images_[at.offset], hash, decompressors);
  }
}

bool Mending::needed() const {
  return std::any_of(images_.begin(), images_.end(), [](const auto& entry) { return entry.second.mended; });
}

void Mending::Prepare() {
  const uint64_t header_offset = header_.pipable ? file_.size() - Header::kSize : 0;
  raw_header_ = ReadRaw(file_, header_offset, Header::kSize);
  xml_ = ReadRaw(file_, header_.xml.offset, header_.xml.size_in_wim);
  integrity_ = IntegrityTable::Read(file_);
  for (auto& [offset, image] : images_) {
    if (image.mended) image.stored = Pack(std::exchange(image.metadata, {}), header_, options_, &image.flags);
  }
}

uint64_t Mending::TailBegin(uint64_t floor) const {
  uint64_t begin = header_.blob_table.offset;
  for (auto image = images_.rbegin(); image != images_.rend(); ++image) {
    const ResourceHeader& at = image->second.at;
    if (at.offset + at.size_in_wim != begin || at.offset < floor) break;
    begin = at.offset;
  }
  const uint64_t integrity = ResourceHeader::From(raw_header_.data() + kIntegrityAt).offset;
  const bool alone = blobs_end_ <= begin && header_.xml.offset >= begin && (integrity == 0 || integrity >= begin) &&
                     images_.lower_bound(header_.blob_table.offset) == images_.end();
  return begin >= floor && alone ? begin : file_.size();
}

Mending::Tail Mending::MakeTail(uint64_t begin, uint64_t tail_begin, bool with_integrity) const {
  Raw bytes;
  std::map<uint64_t, ResourceHeader> places;
  for (const auto& [offset, image] : images_) {
    if (!image.mended && offset < tail_begin) continue;
    const Raw stored = image.mended ? image.stored : ReadRaw(file_, offset, image.at.size_in_wim);
    places[offset] = PlaceOf(image, begin + bytes.size());
    bytes.insert(bytes.end(), stored.begin(), stored.end());
  }
  const Raw table = Table(places, {});
  const ResourceHeader table_at = {table.size(), TableFlags(), begin + bytes.size(), table.size()};
  bytes.insert(bytes.end(), table.begin(), table.end());
  const uint64_t covered = begin + bytes.size();
  const Raw xml = Xml(covered);
  const ResourceHeader xml_at = {xml.size(), header_.xml.flags, covered, xml.size()};
  bytes.insert(bytes.end(), xml.begin(), xml.end());
  ResourceHeader integrity_at;
  if (integrity_ && with_integrity) {
    const Raw integrity = Integrity(*integrity_, begin, bytes, covered);
    integrity_at = {integrity.size(), 0, begin + bytes.size(), integrity.size()};
    bytes.insert(bytes.end(), integrity.begin(), integrity.end());
  }
  return {std::move(bytes), HeaderWith(places, {}, table_at, xml_at, integrity_at)};
}

void Mending::WritePipable(const Out& write) const {
  Moves moves;
  std::map<uint64_t, ResourceHeader> places;
  int64_t moved = 0;
  for (const auto& [offset, image] : images_) {
    if (!image.mended) continue;
    places[offset] = PlaceOf(image, static_cast<uint64_t>(static_cast<int64_t>(offset) + moved));
    moved += static_cast<int64_t>(image.stored.size()) - static_cast<int64_t>(image.at.size_in_wim);
    moves.push_back({offset, moved});
  }
  Hashing out(write, integrity_ ? integrity_->chunk_size : 0);
  Raw piece;
  const auto copy = [&](uint64_t from, uint64_t to) {
    for (uint64_t done = from; done < to; done += piece.size()) {
      piece.resize(static_cast<size_t>(std::min<uint64_t>(kPiece, to - done)));
      file_.Read(piece.data(), piece.size(), done);
      out.Write(piece);
    }
  };
  const auto out_resource = [&](const Raw& stored, uint64_t size, const Sha1Hash& hash, uint32_t flags) {
    Raw head;
    Store(head, kPipedMagic);
    Store(head, size);
    head.insert(head.end(), hash.begin(), hash.end());
    Store(head, flags);
    out.Write(head);
    out.Write(stored);
  };
  uint64_t done = 0;
  for (const auto& [offset, image] : images_) {
    if (!image.mended) continue;
    copy(done, PipedBegin(image.at, done));
    out_resource(image.stored, image.size, image.hash, image.flags);
    done = offset + image.at.size_in_wim;
  }
  const ResourceHeader& old_table = header_.blob_table;
  copy(done, PipedBegin(old_table, done));
  const Raw table = Table(places, moves);
  const ResourceHeader table_at = {table.size(), TableFlags(), Moved(moves, old_table.offset), table.size()};
  const uint64_t covered = table_at.offset + table.size();
  out_resource(table, table.size(), HashOf(table), PipedFlags(old_table));
  const Raw integrity = out.IntegrityTableSoFar();
  done = old_table.offset + old_table.size_in_wim;
  const uint64_t xml_begin = PipedBegin(header_.xml, done);
  if (xml_begin != done) throw Unexpected();
  const Raw xml = Xml(covered);
  const ResourceHeader xml_at = {xml.size(), header_.xml.flags, covered + kPipedHeaderSize, xml.size()};
  out_resource(xml, xml.size(), HashOf(xml), PipedFlags(header_.xml));
  ResourceHeader integrity_at;
  if (integrity_) {
    integrity_at = {integrity.size(), 0, out.written(), integrity.size()};
    out.Write(integrity);
  }
  const Raw header = HeaderWith(places, moves, table_at, xml_at, integrity_at);
  out.Write(header);
}

void Mending::Examine(Image& image, const Sha1Hash& hash, Decompressors& decompressors) const {
  const std::string where = file_.path() + ", metadata at offset " + std::to_string(image.at.offset) + ",";
  std::optional<Metadata> before;
  try {
    const uint64_t limit = std::min(file_.size() * kLargestRatio, kLargestMetadata);
    Raw metadata = ReadWhole(Resource::From(file_, header_, image.at), limit, decompressors);
    std::optional<Raw> made = MendDirectoryStreams(metadata);
    if (!made) return;
    before.emplace(std::move(metadata), hash, where);  // checks the hash
    image.metadata = std::move(*made);
  } catch (const Error& error) {
    if (error.code() != "WIM_CORRUPT") throw;
    return;
  }
  image.hash = HashOf(image.metadata);
  image.size = image.metadata.size();
  if (!SameTree(*before, Metadata(image.metadata, image.hash, where))) {
    throw Error("WIM_ERROR", where + " would have other files after its directories are put right");
  }
  image.mended = true;
}

ResourceHeader Mending::PlaceOf(const Image& image, uint64_t offset) {
  ResourceHeader place = image.at;
  place.offset = offset;
  if (!image.mended) return place;
  place.size_in_wim = image.stored.size();
  place.uncompressed_size = image.size;
  place.flags = image.flags;
  return place;
}

uint64_t Mending::Moved(const Moves& moves, uint64_t offset) {
  int64_t by = 0;
  for (const Move& move : moves) {
    if (move.offset < offset) by = move.by;
  }
  return static_cast<uint64_t>(static_cast<int64_t>(offset) + by);
}

Raw Mending::Table(const std::map<uint64_t, ResourceHeader>& places, const Moves& moves) const {
  Raw table = table_;
  for (size_t entry = 0; entry < table.size(); entry += BlobTable::kEntrySize) {
    uint8_t* const bytes = table.data() + entry;
    ResourceHeader at = ResourceHeader::From(bytes);
    if (Load16(bytes + kPartAt) != header_.part || (at.flags & ResourceHeader::kFree)) continue;
    const bool metadata = (at.flags & ResourceHeader::kMetadata) && !(at.flags & ResourceHeader::kSolid);
    const auto place = places.find(at.offset);
    if (metadata && place != places.end()) {
      PutResource(bytes, place->second);
      const Image& image = images_.at(at.offset);
      if (image.mended) PutHash(bytes + kHashAt, image.hash);
    } else if (!moves.empty()) {
      at.offset = Moved(moves, at.offset);
      PutResource(bytes, at);
    }
  }
  return table;
}

Raw Mending::Xml(uint64_t total) const {
  const auto utf16 = [](const std::string& text) {
    Raw units;
    for (const char unit : text) Store(units, static_cast<uint16_t>(static_cast<unsigned char>(unit)));
    return units;
  };
  const Raw open = utf16("<TOTALBYTES>");
  const Raw close = utf16("</TOTALBYTES></WIM>");
  // That of the WIM, after those of its images
  const auto begin = std::find_end(xml_.begin(), xml_.end(), open.begin(), open.end());
  const auto end = std::search(begin, xml_.end(), close.begin(), close.end());
  if (begin == xml_.end() || end == xml_.end() || (header_.xml.flags & ResourceHeader::kCompressed)) return xml_;
  Raw xml(xml_.begin(), begin + static_cast<ptrdiff_t>(open.size()));
  const Raw number = utf16(std::to_string(total));
  xml.insert(xml.end(), number.begin(), number.end());
  xml.insert(xml.end(), end, xml_.end());
  return xml;
}

Raw Mending::Integrity(const IntegrityTable& old, uint64_t begin, const Raw& tail, uint64_t covered) const {
  IntegrityTable table;
  table.begin = Header::kSize;
  table.end = covered;
  table.chunk_size = old.chunk_size;
  for (size_t n = 0; table.ChunkBegin(n) < covered; n++) {
    const uint64_t from = table.ChunkBegin(n);
    const uint64_t to = from + table.ChunkSize(n);
    if (to <= begin && to <= old.end && table.ChunkSize(n) == table.chunk_size) {
      table.hashes.push_back(old.hashes[n]);
      continue;
    }
    Sha1 sha1;
    for (uint64_t at = from; at < std::min(to, begin);) {
      const Raw piece = ReadRaw(file_, at, std::min<uint64_t>(kPiece, std::min(to, begin) - at));
      sha1.Update(piece.data(), piece.size());
      at += piece.size();
    }
    const uint64_t in_tail = std::max(from, begin);
    if (in_tail < to) sha1.Update(tail.data() + (in_tail - begin), static_cast<size_t>(to - in_tail));
    table.hashes.push_back(sha1.Finish());
  }
  return BytesOf(table);
}

Raw Mending::HeaderWith(const std::map<uint64_t, ResourceHeader>& places, const Moves& moves,
                        const ResourceHeader& table, const ResourceHeader& xml, const ResourceHeader& integrity) const {
  Raw header = raw_header_;
  PutResource(header.data() + kBlobTableAt, table);
  PutResource(header.data() + kXmlAt, xml);
  PutResource(header.data() + kIntegrityAt, integrity);
  ResourceHeader boot = ResourceHeader::From(header.data() + kBootMetadataAt);
  if (boot.offset == 0) return header;
  const auto place = places.find(boot.offset);
  boot.offset = Moved(moves, boot.offset);
  PutResource(header.data() + kBootMetadataAt, place == places.end() ? boot : place->second);
  return header;
}

uint32_t Mending::PipedFlags(const ResourceHeader& at) const {
  const Raw head = ReadRaw(file_, at.offset - kPipedHeaderSize, kPipedHeaderSize);
  return Load32(head.data() + kPipedFlagsAt) & ~uint32_t{ResourceHeader::kCompressed};
}

Error Mending::Unexpected() const {
  return Error("WIM_CORRUPT", file_.path() + ": the resources of this pipable WIM do not follow each other");
}

uint64_t Mending::PipedBegin(const ResourceHeader& at, uint64_t least) const {
  if (at.offset < least + kPipedHeaderSize) throw Unexpected();
  const Raw head = ReadRaw(file_, at.offset - kPipedHeaderSize, kPipedHeaderSize);
  if (Load64(head.data()) != kPipedMagic) throw Unexpected();
  return at.offset - kPipedHeaderSize;
}

}  // namespace stowage::wim
