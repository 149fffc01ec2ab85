#include "sanitizers.h"

/* Asked by the runtimes as the program starts: they hold however little of the environment a process is given. */

/* detect_leaks: CPython leaves at its end what lives as long as the process, and so does a worker, which ends with _exit().
 * allocator_may_return_null: Python makes a MemoryError of it.
 * handle_*: a process that a test ends with such a signal is to end by it, and CPython's fault handler to see it. What
 * AddressSanitizer itself finds ends the process all the same. */
const char *__asan_default_options(void) {
  return "detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:"
         "handle_abort=0";
}

const char *__tsan_default_options(void) {
  return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0";
}

/* zYuYTXEfU: a closure that Mutex.withLock runs, by its mangled type (inout sending). ThreadSanitizer does not see the lock, a
 * futex that Swift's own Synchronization library takes, and would report all that two threads do under it. What one thread does
 * under a lock and another without it is hidden with this.
 * _swiftEmptyArrayStorage: the array that all empty arrays share; Swift's library writes the count that it has, 0, there. */
const char *__tsan_default_suppressions(void) {
  return "race:zYuYTXEfU\n"
         "race:_swiftEmptyArrayStorage\n";
}
