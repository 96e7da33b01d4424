/*
 * Runs a program under a list of allowed system calls, as a container engine would: NAMES is a header of their numbers.
 *
 * Any other call kills the program, which a real profile does not do: it would say that the call does not exist, and
 * what misses it might go unnoticed. Only clone3 says so here, too: without it the C library uses clone.
 * Not here: conditions on arguments.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const unsigned allowed[] = {
#include NAMES
};

#define COUNT (sizeof allowed / sizeof *allowed)

int main(int argc, char **argv)
{
	struct sock_filter filter[2 * COUNT + 4];
	unsigned short len = 0;
	filter[len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned place = 0; place < COUNT; place++) {
		filter[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[place], 0, 1);
		filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1);
	filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, DEFAULT);

	struct sock_fprog program = { .len = len, .filter = filter };
	if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return 99;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return 98;
	execv(argv[1], argv + 1);
	return 97;
}
