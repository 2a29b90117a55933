#include "keyserver/harden.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "keyserver/log.h"

static int complain(const char *what)
{
	int error = errno;

	slu_log_line("%s: %s", what, strerror(error));
	return -error;
}

int slu_harden_memory(bool lock)
{
	const struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit most;

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return complain("RLIMIT_CORE");
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		return complain("PR_SET_DUMPABLE");
	if (!lock)
		return 0;
	/* In a container root may not raise its limits: then as much as it has. */
	if (setrlimit(RLIMIT_MEMLOCK, &all) != 0 && getrlimit(RLIMIT_MEMLOCK, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &most);
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		return complain("memory cannot be locked (lock_memory: false does without)");
	return 0;
}

/* Of root's privileges the one to lock memory is kept, which a user's limit would soon end. */
static int keep_locking(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = 1u << CAP_IPC_LOCK, .permitted = 1u << CAP_IPC_LOCK}};

	return (int)syscall(SYS_capset, &header, data);
}

int slu_harden_user(const char *user)
{
	const struct passwd *entry;

	if (user) {
		errno = ENOENT;
		entry = getpwnam(user);
		if (!entry)
			return complain(user);
		if (prctl(PR_SET_KEEPCAPS, 1) != 0 || initgroups(user, entry->pw_gid) != 0 ||
			setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
			setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0 || keep_locking() != 0)
			return complain(user);
	}
	/* A change of user sets it anew. */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		return complain("PR_SET_DUMPABLE");
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : complain("PR_SET_NO_NEW_PRIVS");
}

/* Allowed whatever their arguments. No exec, no new process, no outgoing connection, no ptrace. */
static const int allowed[] = {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
	SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
	SCMP_SYS(fcntl), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(sched_yield), SCMP_SYS(unlink),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list), SCMP_SYS(tgkill)};

static int add_rules(scmp_filter_ctx filter)
{
	int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && result == 0; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* A reload opens files, and reads them only. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	/* Memory is never made executable. */
	if (result == 0)
		result = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (result == 0)
		result = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return result;
}

int slu_harden_system_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int result = filter ? add_rules(filter) : -ENOMEM;

	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	if (result != 0)
		slu_log_line("seccomp: %s", strerror(-result));
	return result;
}
