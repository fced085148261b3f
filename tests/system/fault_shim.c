// SPDX-License-Identifier: Apache-2.0
// Faults of file systems and clocks for faults.py: LD_PRELOAD puts this before the C library.
//
// FAULT          locks      locking fails with ENOLCK
//                quota      writing to files in FAULT_FOLDER fails with EDQUOT
//                read_only  making or opening them for writing fails with EROFS
//                stale      who reads a file in FAULT_FOLDER sees the one of that name in FAULT_OLD, if there
//                is one clock      the time of day is three days ago
// FAULT_RANK     the MPI rank that has the fault; without it every rank. Processes that are no ranks have
// none. FAULT_SWITCH   the fault begins when this file is there; without it at once.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The C library's function of that name. */
#define NEXT(name)                                                               \
  ({                                                                             \
    static __typeof__(&name) next_one;                                           \
    if (next_one == NULL) next_one = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    next_one;                                                                    \
  })

static int has_fault(const char* wanted) {
  const char *fault = getenv("FAULT"), *own = getenv("OMPI_COMM_WORLD_RANK"), *rank = getenv("FAULT_RANK"),
             *trigger = getenv("FAULT_SWITCH");
  if (fault == NULL || own == NULL || strcmp(fault, wanted) != 0) return 0;
  if (rank != NULL && strcmp(rank, own) != 0) return 0;
  return trigger == NULL || access(trigger, F_OK) == 0;
}

/* What follows FAULT_FOLDER in a path; NULL for other paths. */
static const char* within(const char* path) {
  const char* folder = getenv("FAULT_FOLDER");
  const size_t n = folder != NULL ? strlen(folder) : 0;
  return n > 0 && path != NULL && strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static int is_refused(int fd) {
  char link[64], path[4096];
  if (!has_fault("quota")) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = '\0';
  return within(path) != NULL;
}

/* The path that a reader gets to see. */
static const char* seen(const char* path, char* buffer, size_t size) {
  const char *name = within(path), *old = getenv("FAULT_OLD");
  if (name == NULL || old == NULL || !has_fault("stale")) return path;
  snprintf(buffer, size, "%s/%s", old, name);
  return access(buffer, F_OK) == 0 ? buffer : path;
}

static int opened(int (*next)(const char*, int, ...), const char* path, int flags, mode_t mode) {
  char buffer[4096];
  const int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
  if (writes && within(path) != NULL && has_fault("read_only")) {
    errno = EROFS;
    return -1;
  }
  return next(writes ? path : seen(path, buffer, sizeof buffer), flags, mode);
}

#define OPEN(name)                                \
  int name(const char* path, int flags, ...) {    \
    va_list rest;                                 \
    va_start(rest, flags);                        \
    const mode_t mode = va_arg(rest, mode_t);     \
    va_end(rest);                                 \
    return opened(NEXT(name), path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                            \
  FILE* name(const char* path, const char* mode) {                             \
    char buffer[4096];                                                         \
    const int reads = mode[0] == 'r' && strchr(mode, '+') == NULL;             \
    return NEXT(name)(reads ? seen(path, buffer, sizeof buffer) : path, mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

int stat(const char* path, struct stat* out) {
  char buffer[4096];
  return NEXT(stat)(seen(path, buffer, sizeof buffer), out);
}

int stat64(const char* path, struct stat64* out) {
  char buffer[4096];
  return NEXT(stat64)(seen(path, buffer, sizeof buffer), out);
}

int flock(int fd, int operation) {
  if (!has_fault("locks")) return NEXT(flock)(fd, operation);
  errno = ENOLCK;
  return -1;
}

#define REFUSED_OR(call) \
  if (is_refused(fd)) {  \
    errno = EDQUOT;      \
    return -1;           \
  }                      \
  return call
ssize_t write(int fd, const void* data, size_t n) {
  REFUSED_OR(NEXT(write)(fd, data, n));
}
ssize_t pwrite(int fd, const void* data, size_t n, off_t at) {
  REFUSED_OR(NEXT(pwrite)(fd, data, n, at));
}
ssize_t pwrite64(int fd, const void* data, size_t n, off64_t at) {
  REFUSED_OR(NEXT(pwrite64)(fd, data, n, at));
}

static const time_t skew_s = 3 * 24 * 3600;

int clock_gettime(clockid_t clock, struct timespec* out) {
  const int code = NEXT(clock_gettime)(clock, out);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && has_fault("clock"))
    out->tv_sec -= skew_s;
  return code;
}

int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  const int code = NEXT(gettimeofday)(out, zone);
  if (code == 0 && has_fault("clock")) out->tv_sec -= skew_s;
  return code;
}

time_t time(time_t* out) {
  const time_t now = NEXT(time)(NULL) - (has_fault("clock") ? skew_s : 0);
  if (out != NULL) *out = now;
  return now;
}
