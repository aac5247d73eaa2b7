#include "integrity_check.h"

#include <deque>
#include <memory>

#include "../base/error.h"
#include "integrity.h"

namespace stowage::wim {

namespace {

struct IntegrityProgress {
  std::string path;
  uint64_t total_bytes;
  uint64_t completed_bytes;
  uint64_t total_chunks;
  uint64_t completed_chunks;
  uint32_t chunk_size;

  void ReportTo(Observer& observer) const {
    observer.ReportCount("verify-integrity:" + path, {{"type", "verify-integrity"},
                                                      {"path", path},
                                                      {"totalBytes", total_bytes},
                                                      {"completedBytes", completed_bytes},
                                                      {"totalChunks", total_chunks},
                                                      {"completedChunks", completed_chunks},
                                                      {"chunkSize", chunk_size}});
  }
};

}  // namespace

void CheckIntegrity(const std::string& path, WorkerPool& pool, Observer& observer,
                    const std::function<void(const std::string& message, uint64_t offset)>& damaged) {
  const File file(path, File::Mode::kRead);
  const auto table = IntegrityTable::Read(file);
  if (!table) return;
  struct Check {
    size_t chunk;
    Sha1Hash found;
    Outcome outcome;
  };
  IntegrityProgress progress = {path, table->end - table->begin, 0, table->hashes.size(), 0, table->chunk_size};
  progress.ReportTo(observer);
  // Tasks refer to local variables: none may still run when those are gone.
  struct Checks : std::deque<std::unique_ptr<Check>> {
    ~Checks() {
      for (auto& check : *this) check->outcome.Join();
    }
  } checks;
  const auto stop = [&observer] { return observer.cancelled(); };
  for (size_t next = 0; next < table->hashes.size() || !checks.empty();) {
    while (next < table->hashes.size() && checks.size() < size_t{2} * pool.size()) {
      checks.push_back(std::make_unique<Check>());
      Check* const check = checks.back().get();
      check->chunk = next++;
      pool.Submit([check, &table, &file, stop](unsigned) {
        check->outcome.Settle([&] { check->found = table->HashOf(file, check->chunk, stop); });
      });
    }
    Check& check = *checks.front();
    const uint64_t offset = table->ChunkBegin(check.chunk);
    std::string wrong;
    try {
      check.outcome.Wait();
      if (check.found != table->hashes[check.chunk])
        wrong = path + ": the " + std::to_string(table->ChunkSize(check.chunk)) + " bytes at offset " +
                std::to_string(offset) + " have SHA-1 " + Hex(check.found) + ", but the integrity table says " +
                Hex(table->hashes[check.chunk]);
    } catch (const Error& error) {
      if (error.code() != "EIO") throw;
      wrong = error.what();
    }
    if (observer.cancelled()) throw Error("ABORTED", "interrupted before the end");
    if (!wrong.empty()) damaged(wrong, offset);
    progress.completed_chunks++;
    progress.completed_bytes += table->ChunkSize(check.chunk);
    progress.ReportTo(observer);
    checks.pop_front();
  }
}

}  // namespace stowage::wim
