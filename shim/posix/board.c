#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int32_t wsgi_posix_shared_board(size_t count, void **writable, void **readable) {
  int file = memfd_create("wsgi-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -errno;
  int32_t result = 0;
  void *ours = MAP_FAILED;
  if (ftruncate(file, (off_t)count) != 0) {
    result = -errno;
  } else if ((ours = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) == MAP_FAILED) {
    result = -errno;
  } else {
    /* Once sealed, a new mapping of the file can only be read, and mprotect cannot change that. */
    void *theirs = MAP_FAILED;
    if (fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
      theirs = mmap(NULL, count, PROT_READ, MAP_SHARED, file, 0);
    }
    if (theirs == MAP_FAILED) {
      result = -errno;
      munmap(ours, count);
    } else {
      *writable = ours;
      *readable = theirs;
    }
  }
  close(file);
  return result;
}

void *wsgi_posix_map_file(int32_t file, size_t offset, size_t count) {
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return NULL;
  if (status.st_size < 0 || offset > (size_t)status.st_size || count > (size_t)status.st_size - offset) return NULL;
  void *mapping = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)offset);
  return mapping == MAP_FAILED ? NULL : mapping;
}

/* The two ends are open files of their own: what is set for one does not hold for the other. */
static int32_t make_pipe(int32_t *ends, int flags, int writer_flags) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC | flags) != 0) return -errno;
  if (fcntl(pair[0], F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(pair[1], F_SETFL, flags | writer_flags) != 0) {
    int32_t failure = -errno;
    close(pair[0]);
    close(pair[1]);
    return failure;
  }
  ends[0] = pair[0];
  ends[1] = pair[1];
  return 0;
}

int32_t wsgi_posix_output_pipe(int32_t *ends) { return make_pipe(ends, 0, 0); }

int32_t wsgi_posix_report_pipe(int32_t *ends) { return make_pipe(ends, O_DIRECT, O_NONBLOCK); }

int32_t wsgi_posix_waiting(int32_t socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : -errno;
}

void wsgi_posix_store(void *word, uint64_t value) { __atomic_store_n((uint64_t *)word, value, __ATOMIC_RELEASE); }

uint64_t wsgi_posix_load(const void *word) { return __atomic_load_n((const uint64_t *)word, __ATOMIC_ACQUIRE); }
