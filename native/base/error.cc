#include "error.h"

#include <cerrno>
#include <system_error>

namespace stowage {

const char* SystemErrorName(int number) {
  switch (number) {
    case EACCES: return "EACCES";
    case ENODEV: return "ENODEV";
    case ENOTCONN: return "ENOTCONN";
#ifndef _WIN32
    case EHOSTDOWN: return "EHOSTDOWN";
    case ESTALE: return "ESTALE";
    case EADDRNOTAVAIL: return "EADDRNOTAVAIL";
    case ECONNREFUSED: return "ECONNREFUSED";
    case ECONNRESET: return "ECONNRESET";
    case EDQUOT: return "EDQUOT";
    case EHOSTUNREACH: return "EHOSTUNREACH";
    case ENETUNREACH: return "ENETUNREACH";
    case EPIPE: return "EPIPE";
    case ETIMEDOUT: return "ETIMEDOUT";
#endif
    case EEXIST: return "EEXIST";
    case EFBIG: return "EFBIG";
    case EIO: return "EIO";
    case EISDIR: return "EISDIR";
    case ELOOP: return "ELOOP";
    case EMFILE: return "EMFILE";
    case ENFILE: return "ENFILE";
    case ENXIO: return "ENXIO";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case ENOENT: return "ENOENT";
    case ENOMEM: return "ENOMEM";
    case ENOSPC: return "ENOSPC";
    case ENOTDIR: return "ENOTDIR";
    case EPERM: return "EPERM";
    case EROFS: return "EROFS";
    default: return "EOTHER";
  }
}

Error SystemError(int number, const std::string& doing) {
  return Error(SystemErrorName(number), doing + ": " + std::generic_category().message(number));
}

}  // namespace stowage
