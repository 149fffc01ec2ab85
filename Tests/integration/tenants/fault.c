/* Makes one call of a daemon process's way out of root fail, or lie: the one that the name of its process group says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char fault[64];

__attribute__((constructor)) static void learn(void) {
  char line[512];
  int file = open("/proc/self/cmdline", O_RDONLY);
  ssize_t count = file < 0 ? 0 : read(file, line, sizeof line - 1);
  if (file >= 0) close(file);
  if (count <= 0) return;
  line[count] = 0;
  if (strcmp(line, "wsgi-worker") == 0) strncpy(fault, line + strlen(line) + 1, sizeof fault - 1);
}

static int is(const char *name) { return strcmp(fault, name) == 0; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(name) \
  if (is(name)) return errno = EPERM, -1
#define LIE(name) \
  if (is(name)) return 0

int chroot(const char *path) {
  FAIL("chroot");
  return REAL(chroot)(path);
}

int chdir(const char *path) {
  FAIL("chdir");
  return REAL(chdir)(path);
}

int setresgid(gid_t a, gid_t b, gid_t c) {
  FAIL("setresgid");
  LIE("setresgid-lies");
  return REAL(setresgid)(a, b, c);
}

int setgroups(size_t count, const gid_t *groups) {
  FAIL("setgroups");
  LIE("setgroups-lies");
  return REAL(setgroups)(count, groups);
}

int setresuid(uid_t a, uid_t b, uid_t c) {
  FAIL("setresuid");
  LIE("setresuid-lies");
  return REAL(setresuid)(a, b, c);
}

int setuid(uid_t uid) {
  LIE("setuid-succeeds");
  return REAL(setuid)(uid);
}

int getresuid(uid_t *a, uid_t *b, uid_t *c) {
  FAIL("getresuid");
  return REAL(getresuid)(a, b, c);
}

int getresgid(gid_t *a, gid_t *b, gid_t *c) {
  FAIL("getresgid");
  return REAL(getresgid)(a, b, c);
}

int getgroups(int count, gid_t *groups) {
  FAIL("getgroups");
  return REAL(getgroups)(count, groups);
}

int prctl(int option, ...) {
  va_list list;
  va_start(list, option);
  unsigned long a = va_arg(list, unsigned long), b = va_arg(list, unsigned long), c = va_arg(list, unsigned long),
                d = va_arg(list, unsigned long);
  va_end(list);
  if (option == PR_CAPBSET_DROP) FAIL("bounding-set");
  if (option == PR_CAP_AMBIENT) FAIL("ambient-set");
  if (option == PR_SET_NO_NEW_PRIVS) FAIL("no-new-privileges");
  if (option == PR_SET_DUMPABLE) FAIL("dumpable");
  return REAL(prctl)(option, a, b, c, d);
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long), e = va_arg(list, long),
       f = va_arg(list, long);
  va_end(list);
  if (number == SYS_capset) FAIL("capset");
  if (number == SYS_capget) FAIL("capget");
  return REAL(syscall)(number, a, b, c, d, e, f);
}
