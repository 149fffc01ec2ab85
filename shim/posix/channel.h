/* Sockets that carry descriptors, and memory files.  CMSG_* are macros over a variable-length structure and the seals are
 * macros over casts, which Swift's importer cannot follow.  Results below zero are negated errno values. */
#ifndef WSGI_POSIX_CHANNEL_H
#define WSGI_POSIX_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#pragma clang assume_nonnull begin

enum { WSGI_POSIX_DESCRIPTORS = 2 /* the most that a message may carry */ };

typedef struct wsgi_posix_descriptors {
  int32_t values[WSGI_POSIX_DESCRIPTORS];
  int32_t count;
  /* 1: the sender passed more than fit, or the process had no room for them.  What did arrive has been closed. */
  int32_t refused;
} wsgi_posix_descriptors;

/* sendmsg without SIGPIPE, again after EINTR.  The descriptors stay the caller's. */
ssize_t wsgi_posix_send(int socket, const struct iovec *parts, int count, const int32_t *_Nullable descriptors,
                        int descriptor_count, int flags);

/* recvmsg, again after EINTR, or once.  Descriptors arrive close-on-exec and become the caller's. */
ssize_t wsgi_posix_receive(int socket, void *buffer, size_t capacity, int flags, wsgi_posix_descriptors *descriptors);
ssize_t wsgi_posix_receive_once(int socket, void *buffer, size_t capacity, int flags, wsgi_posix_descriptors *descriptors);

/* A close-on-exec pair of AF_UNIX sockets of `type`: 0, or -errno. */
int wsgi_posix_socket_pair(int type, int32_t *ends);

/* Has the kernel refuse descriptors that are sent to `socket`, where it can (Linux 6.16).  Otherwise the receiver closes them,
 * which may take long. */
void wsgi_posix_refuse_descriptors(int socket);

/* Moves bytes of a file into a non-blocking socket without copying them; `offset` moves along.  0: the file has no more. */
ssize_t wsgi_posix_send_file(int file, int64_t *offset, int socket, size_t length);

/* SO_RCVTIMEO: a blocking receive fails with EAGAIN after so many milliseconds; 0 waits for ever. */
int wsgi_posix_receive_timeout(int socket, int64_t milliseconds);

/* The send buffer of a socket, past net.core.wmem_max where the process may do that.  The size that holds, or -errno. */
int wsgi_posix_send_buffer(int socket, int bytes);

/* Bytes that the peer of a socket has not read yet, with the kernel's bookkeeping, or -errno. */
int wsgi_posix_unread(int socket);

/* Puts the two ends of a queue, write end first, that the first message at `offered` carries in the place of descriptors
 * `write_end` and `read_end` (-1: that end is not wanted).  The message stays there for others.  1: done; 0: nothing is offered
 * yet; -errno, which is -EPIPE where no process is left that could offer anything. */
int wsgi_posix_take_over_queue(int offered, int write_end, int read_end);

/* A memory file with these bytes, sealed against every change: a descriptor, or -errno. */
int wsgi_posix_sealed_file(const void *bytes, size_t length);

/* The size of a memory file that can neither shrink nor change: -EINVAL for any other file. */
int64_t wsgi_posix_sealed_size(int descriptor);

/* The size of a regular file that is open for reading: -EINVAL for any other descriptor. */
int64_t wsgi_posix_readable_size(int descriptor);

#pragma clang assume_nonnull end
#endif
