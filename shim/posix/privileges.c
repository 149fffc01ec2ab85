#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

int32_t wsgi_posix_set_gid(gid_t gid) { return setresgid(gid, gid, gid) == 0 ? 0 : -errno; }

int32_t wsgi_posix_set_uid(uid_t uid) { return setresuid(uid, uid, uid) == 0 ? 0 : -errno; }

int32_t wsgi_posix_set_groups(const gid_t *groups, size_t count) { return setgroups(count, groups) == 0 ? 0 : -errno; }

int32_t wsgi_posix_is_identity(uid_t uid, gid_t gid) {
  uid_t u[3];
  gid_t g[3];
  if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0) return -errno;
  for (int i = 0; i < 3; i++) {
    if (u[i] != uid || g[i] != gid) return 0;
  }
  return 1;
}

int32_t wsgi_posix_set_dumpable(int32_t dumpable) {
  return prctl(PR_SET_DUMPABLE, (unsigned long)dumpable, 0, 0, 0) == 0 ? 0 : -errno;
}

int32_t wsgi_posix_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0, 0, 0) == 0 ? 0 : -errno; }

int32_t wsgi_posix_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0, 0, 0) == 0 ? 0 : -errno; }

int32_t wsgi_posix_end_with_parent(void) { return prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) == 0 ? 0 : -errno; }

int32_t wsgi_posix_drop_bounding_set(void) {
  /* The kernel may know more capabilities than the header: it refuses the first number that it does not know. */
  for (unsigned long capability = 0; capability < 64; capability++) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return errno == EINVAL && capability > 0 ? 0 : -errno;
  }
  return 0;
}

int32_t wsgi_posix_keep_capabilities(int32_t keep) {
  return prctl(PR_SET_KEEPCAPS, (unsigned long)keep, 0, 0, 0) == 0 ? 0 : -errno;
}

int32_t wsgi_posix_limit_capabilities(int32_t changes_root) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct wanted[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}, {0, 0, 0}};
  if (changes_root) wanted[0].effective = wanted[0].permitted = 1U << CAP_SYS_CHROOT;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) return -errno;
  return syscall(SYS_capset, &header, wanted) == 0 ? 0 : -errno;
}

int32_t wsgi_posix_has_capabilities(int32_t besides_changing_root) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, data) != 0) return -errno;
  if (besides_changing_root) {
    data[0].effective &= ~(1U << CAP_SYS_CHROOT);
    data[0].permitted &= ~(1U << CAP_SYS_CHROOT);
  }
  for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
    if (data[i].effective | data[i].permitted | data[i].inheritable) return 1;
  }
  return 0;
}

int32_t wsgi_posix_directory(int32_t base, const char *name, int32_t follows) {
  int descriptor = openat(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW));
  return descriptor < 0 ? -errno : descriptor;
}

int32_t wsgi_posix_is_roots(int32_t directory) {
  struct stat about;
  return fstat(directory, &about) == 0 && about.st_uid == 0 && (about.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int32_t wsgi_posix_is_control_group(int32_t directory) {
  struct statfs about;
  return fstatfs(directory, &about) == 0 && (about.f_type == CGROUP_SUPER_MAGIC || about.f_type == CGROUP2_SUPER_MAGIC);
}

int32_t wsgi_posix_has_access_list(const char *path) { return getxattr(path, "system.posix_acl_access", NULL, 0) > 0; }

int32_t wsgi_posix_set_limit(int32_t limit, uint64_t soft, uint64_t hard) {
  static const int resources[] = {RLIMIT_CPU, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NPROC};
  struct rlimit values = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};
  if (limit < WSGI_LIMIT_CPU || limit > WSGI_LIMIT_PROCESSES) return -EINVAL;
  return setrlimit(resources[limit], &values) == 0 ? 0 : -errno;
}

int32_t wsgi_posix_set_priority(int32_t priority) { return setpriority(PRIO_PROCESS, 0, priority) == 0 ? 0 : -errno; }

void wsgi_posix_set_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int32_t wsgi_posix_close_on_exec(int32_t descriptor) { return fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -errno; }

void wsgi_posix_close_from(int32_t first) {
  if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0) return;
  struct rlimit limit;
  int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < (1 << 20) ? (int)limit.rlim_max : 1 << 20;
  for (int descriptor = first; descriptor < last; descriptor++) close(descriptor);
}
