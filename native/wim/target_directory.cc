#ifndef _WIN32
#include "target_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>
#include <vector>

#include "../base/error.h"
#include "metadata.h"

namespace stowage::wim {

namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
// Descriptors kept open.
constexpr size_t kMostRecent = 64;
constexpr size_t kCopySize = 1 << 20;
constexpr mode_t kPermissions = 07777;

timespec TimeOf(uint64_t filetime) {
  timespec time = {};
  time.tv_sec = static_cast<time_t>(static_cast<int64_t>(filetime / 10000000) - kSecondsTo1970);
  time.tv_nsec = static_cast<long>(filetime % 10000000 * 100);
  return time;
}

std::array<timespec, 2> TimesOf(const FileFacts& facts) {
  return {TimeOf(facts.access_time), TimeOf(facts.write_time)};
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

void TargetDirectory::Create(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return;
  const Error error = SystemError(errno, "create directory " + path);
  throw Error("WIMLIB_ERR_MKDIR", error.what()).From(error.code());
}

bool TargetDirectory::IsLink(const std::string& path) {
  struct stat found = {};
  return lstat(path.c_str(), &found) == 0 && S_ISLNK(found.st_mode);
}

std::string TargetDirectory::RealPath(const std::string& path) {
  char* const real = realpath(path.c_str(), nullptr);
  if (real == nullptr) throw SystemError(errno, "find " + path);
  std::string result(real);
  std::free(real);
  while (!result.empty() && result.back() == '/') result.pop_back();
  return result;
}

TargetDirectory::TargetDirectory(const std::string& path, Links links, const ExtractionPlan& plan)
    : path_(path), plan_(plan) {
  const int made = mkdir(path.c_str(), 0755);
  if (made != 0 && errno != EEXIST) Fail("WIMLIB_ERR_MKDIR", "create directory", ExtractionPlan::kTarget, errno);
  const int fd = open(path.c_str(), kOpenDirectory | (links == Links::kRefuse ? O_NOFOLLOW : 0));
  if (fd < 0) Fail("WIMLIB_ERR_MKDIR", "extract to", ExtractionPlan::kTarget, errno);
  target_ = std::make_shared<Descriptor>(fd);
}

void TargetDirectory::Fail(const char* code, const std::string& doing, uint32_t node, int number) const {
  const Error error = SystemError(number, doing + " " + PathOf(node));
  throw Error(code, error.what()).From(error.code());
}

TargetDirectory::Shared TargetDirectory::Open(uint32_t node) {
  // No recursion: a tree may be deep.
  std::vector<uint32_t> closed;
  Shared directory;
  for (; !directory; node = plan_.DirectoryOf(node)) {
    if (node == ExtractionPlan::kTarget) {
      directory = target_;
      break;
    }
    const auto found = places_.find(node);
    if (found == places_.end()) {
      closed.push_back(node);
      continue;
    }
    recent_.splice(recent_.begin(), recent_, found->second);
    directory = found->second->second;
  }
  for (auto next = closed.rbegin(); next != closed.rend(); ++next) {
    const int fd = openat(directory->get(), plan_.NameOf(*next).c_str(), kOpenDirectory | O_NOFOLLOW);
    if (fd < 0) Fail("WIMLIB_ERR_OPENDIR", "open directory", *next, errno);
    directory = std::make_shared<Descriptor>(fd);
    Keep(*next, directory);
  }
  return directory;
}

void TargetDirectory::Keep(uint32_t node, const Shared& directory) {
  recent_.emplace_front(node, directory);
  places_[node] = recent_.begin();
  if (recent_.size() <= kMostRecent) return;
  places_.erase(recent_.back().first);
  recent_.pop_back();
}

template <typename Make>
int TargetDirectory::Replacing(int directory, const std::string& name, Make make) const {
  const int result = make();
  if (result >= 0 || errno != EEXIST) return result;
  if (unlinkat(directory, name.c_str(), 0) != 0) return -1;
  return make();
}

void TargetDirectory::MakeDirectory(uint32_t node) {
  const Shared parent = Open(plan_.DirectoryOf(node));
  const std::string name = plan_.NameOf(node);
  const bool there = mkdirat(parent->get(), name.c_str(), 0755) != 0;
  if (there && errno != EEXIST) Fail("WIMLIB_ERR_MKDIR", "create directory", node, errno);
  const int fd = openat(parent->get(), name.c_str(), kOpenDirectory | O_NOFOLLOW);
  if (fd < 0) {
    const int number = there && (errno == ENOTDIR || errno == ELOOP) ? EEXIST : errno;
    Fail("WIMLIB_ERR_MKDIR", "create directory", node, number);
  }
  Keep(node, std::make_shared<Descriptor>(fd));
}

TargetDirectory::NewFile::NewFile(TargetDirectory& target, uint32_t node)
    : target_(target),
      node_(node),
      directory_(target.Open(target.plan_.DirectoryOf(node))),
      name_(target.plan_.NameOf(node)) {
  const int fd = target.Replacing(directory_->get(), name_, [this] {
    return openat(directory_->get(), name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  });
  if (fd < 0) target.Fail("WIMLIB_ERR_OPEN", "create", node, errno);
  file_ = std::make_unique<Descriptor>(fd);
}

TargetDirectory::NewFile::~NewFile() {
  if (!finished_) unlinkat(directory_->get(), name_.c_str(), 0);
}

void TargetDirectory::NewFile::Write(const uint8_t* data, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t written = write(file_->get(), data + done, size - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) target_.Fail("WIMLIB_ERR_WRITE", "write", node_, written == 0 ? EIO : errno);
    done += static_cast<size_t>(written);
  }
  size_ += size;
}

void TargetDirectory::NewFile::Copy(const NewFile& from, const std::function<void()>& watch) {
  std::vector<uint8_t> buffer(static_cast<size_t>(std::min<uint64_t>(from.size_, kCopySize)));
  while (size_ < from.size_) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), from.size_ - size_));
    const ssize_t read = pread(from.file_->get(), buffer.data(), wanted, static_cast<off_t>(size_));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) target_.Fail("WIMLIB_ERR_READ", "read", from.node_, read == 0 ? EIO : errno);
    Write(buffer.data(), static_cast<size_t>(read));
    watch();
  }
}

void TargetDirectory::NewFile::Finish(const FileFacts& facts) {
  if (facts.owner) target_.SetOwner(file_->get(), node_, *facts.owner, facts.strict_owner);
  const auto times = TimesOf(facts);
  if (futimens(file_->get(), times.data()) != 0 && facts.strict_times)
    target_.Fail("WIMLIB_ERR_SET_TIMESTAMPS", "set the times of", node_, errno);
  finished_ = true;
}

// Of an open file that is no link. The owner first: a change of it takes away the bits that run a file as its owner.
void TargetDirectory::SetOwner(int fd, uint32_t node, const FileFacts::Owner& owner, bool strict) const {
  const bool owned = fchown(fd, owner.uid, owner.gid) == 0;
  const bool permitted = owned && fchmod(fd, owner.mode & kPermissions) == 0;
  if (!permitted && strict)
    Fail("WIMLIB_ERR_SET_SECURITY", owned ? "set the mode of" : "set the owner of", node, errno);
  if (!owned) fchmod(fd, owner.mode & kPermissions);
}

void TargetDirectory::SetTimes(int directory, const char* name, uint32_t node, const FileFacts& facts) const {
  const auto times = TimesOf(facts);
  if (utimensat(directory, name, times.data(), AT_SYMLINK_NOFOLLOW) != 0 && facts.strict_times)
    Fail("WIMLIB_ERR_SET_TIMESTAMPS", "set the times of", node, errno);
}

void TargetDirectory::MakeLink(uint32_t node, const std::string& target, const FileFacts& facts) {
  const Shared directory = Open(plan_.DirectoryOf(node));
  const std::string name = plan_.NameOf(node);
  const int made =
      Replacing(directory->get(), name, [&] { return symlinkat(target.c_str(), directory->get(), name.c_str()); });
  if (made != 0) Fail("WIMLIB_ERR_LINK", "create the symbolic link", node, errno);
  if (facts.owner &&
      fchownat(directory->get(), name.c_str(), facts.owner->uid, facts.owner->gid, AT_SYMLINK_NOFOLLOW) != 0 &&
      facts.strict_owner)
    Fail("WIMLIB_ERR_SET_SECURITY", "set the owner of", node, errno);
  SetTimes(directory->get(), name.c_str(), node, facts);
}

bool TargetDirectory::MakeSpecial(uint32_t node, const FileFacts& facts) {
  if (!facts.owner) return false;
  const FileFacts::Owner& owner = *facts.owner;
  const Shared directory = Open(plan_.DirectoryOf(node));
  const std::string name = plan_.NameOf(node);
  const int made = Replacing(directory->get(), name,
                             [&] { return mknodat(directory->get(), name.c_str(), owner.mode, owner.device); });
  if (made != 0 && errno == EPERM) return false;
  if (made != 0) Fail("WIMLIB_ERR_MKNOD", "create the special file", node, errno);
  if (fchownat(directory->get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0 && facts.strict_owner)
    Fail("WIMLIB_ERR_SET_SECURITY", "set the owner of", node, errno);
  // Just made, so it is no link.
  fchmodat(directory->get(), name.c_str(), owner.mode & kPermissions, 0);
  SetTimes(directory->get(), name.c_str(), node, facts);
  return true;
}

void TargetDirectory::MakeHardLink(uint32_t existing, uint32_t node) {
  const Shared from = Open(plan_.DirectoryOf(existing));
  const Shared to = Open(plan_.DirectoryOf(node));
  const std::string old_name = plan_.NameOf(existing);
  const std::string name = plan_.NameOf(node);
  // Two names that come to one place.
  if (plan_.DirectoryOf(existing) == plan_.DirectoryOf(node) && old_name == name) return;
  const int made =
      Replacing(to->get(), name, [&] { return linkat(from->get(), old_name.c_str(), to->get(), name.c_str(), 0); });
  if (made != 0) Fail("WIMLIB_ERR_LINK", "create the hard link", node, errno);
}

void TargetDirectory::SetFacts(uint32_t node, const FileFacts& facts) {
  const Shared directory = Open(node);
  if (facts.owner) SetOwner(directory->get(), node, *facts.owner, facts.strict_owner);
  const auto times = TimesOf(facts);
  if (futimens(directory->get(), times.data()) != 0 && facts.strict_times)
    Fail("WIMLIB_ERR_SET_TIMESTAMPS", "set the times of", node, errno);
}

}  // namespace stowage::wim
#endif
