/* Signals and waiting in a worker: handlers must be C, futex has no libc function, and the real-time signals are macros over a
 * call. */
#ifndef WSGI_POSIX_WORKER_H
#define WSGI_POSIX_WORKER_H

#include <pthread.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* From now on SIGQUIT is written, one byte each, to `descriptor`, which must be non-blocking, and SIGUSR1, SIGHUP and
 * SIGUSR2 do nothing until wsgi_posix_catch_signals: a process that is starting has no thread yet that could heed them, and
 * would end.  Forked processes are as described there.  0, or -errno. */
int32_t wsgi_posix_catch_early_signals(int32_t descriptor);
/* From now on SIGTERM, SIGINT, SIGUSR1, SIGXCPU, SIGHUP and SIGUSR2 are written, one byte each, to `descriptor`, which must
 * be non-blocking.  Only in this process: in one that it forks they have their default effect again, whatever the fork did. No
 * signal is blocked, so that programs that the application starts inherit nothing.  SIGPIPE is ignored.  0, or -errno. */
int32_t wsgi_posix_catch_signals(int32_t descriptor);

/* How often the calling thread has given up its processor to wait for something. */
int64_t wsgi_posix_waits(void);

/* Makes a system call in which `thread` waits fail with EINTR.  Without wsgi_posix_accept_interruptions before it, which may
 * be called more than once, it ends the process. */
void wsgi_posix_accept_interruptions(void);
void wsgi_posix_interrupt(pthread_t thread);

/* Waits until a thread wakes `word`, at most `milliseconds` (negative: for ever), unless it is not `expected`. */
void wsgi_posix_wait(const uint32_t *word, uint32_t expected, int64_t milliseconds);
void wsgi_posix_wake(const uint32_t *word, int32_t count);

#pragma clang assume_nonnull end
#endif
