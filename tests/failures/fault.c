/*
 * Faults of the machine, for a server that knows nothing of them: preloaded, it stands before the C library.
 *
 * What goes wrong is written in a file that the test and the server share (FAULT_CONTROL), at any time, and is in
 * force at once. All zeros: nothing goes wrong. Not here: what the server should do about it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct control {
	int64_t wall_shift_s;    /* seconds that CLOCK_REALTIME is off by */
	int32_t broken_clock;    /* 1 + id of the clock whose reading fails once, in one thread */
	int32_t disk_is_full;    /* writing to regular files fails */
	char thread[16];         /* beginning of that thread's name */
	int32_t stops;           /* that thread stands still when it next reads a clock */
	int32_t backtrace_stops; /* a backtrace takes for ever */
};

static struct control nothing;
static struct control *control = &nothing;
static int (*next_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*next_write)(int, const void *, size_t);

__attribute__((constructor)) static void set_up(void)
{
	next_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	next_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	const char *path = getenv("FAULT_CONTROL");
	int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (file < 0)
		abort();
	void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (shared == MAP_FAILED)
		abort();
	control = shared;
	close(file);
}

static int is_the_thread(void)
{
	char name[16];
	return pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
	       strncmp(name, control->thread, strlen(control->thread)) == 0;
}

/* Seconds after which a process whose shard has panicked is gone for certain. */
#define GONE_AFTER_S 5

/* The clock whose reading has failed in this thread, as above, and when. */
static __thread int32_t has_broken;
static __thread time_t broke_at_s;

static time_t now_s(void)
{
	struct timespec now = {0, 0};
	next_clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/*
 * Whether this reading is the one that fails. Only one does: what is done about a panic reads clocks, too. An allocator reads
 * clocks as well, and does not mind: if the process lives on, another reading fails.
 */
static int is_broken(clockid_t clock)
{
	int32_t wanted = (int32_t)clock + 1;
	if (has_broken == wanted && now_s() - broke_at_s > GONE_AFTER_S) {
		broke_at_s = now_s();
		return 1;
	}
	if (__atomic_load_n(&control->broken_clock, __ATOMIC_ACQUIRE) != wanted || !is_the_thread())
		return 0;
	if (!__atomic_compare_exchange_n(&control->broken_clock, &wanted, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	has_broken = (int32_t)clock + 1;
	broke_at_s = now_s();
	return 1;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	while (__atomic_load_n(&control->stops, __ATOMIC_ACQUIRE) && is_the_thread())
		pause();
	if (is_broken(clock)) {
		errno = EINVAL;
		return -1;
	}
	int result = next_clock_gettime(clock, now);
	if (result == 0 && clock == CLOCK_REALTIME)
		now->tv_sec += __atomic_load_n(&control->wall_shift_s, __ATOMIC_RELAXED);
	return result;
}

ssize_t write(int file, const void *bytes, size_t len)
{
	struct stat status;
	if (__atomic_load_n(&control->disk_is_full, __ATOMIC_RELAXED) && fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
		errno = ENOSPC;
		return -1;
	}
	return next_write(file, bytes, len);
}

/* Of the unwinder's library: it collects the frames of a backtrace, and unwinds nothing. */
int _Unwind_Backtrace(void *handle_frame, void *argument);

int _Unwind_Backtrace(void *handle_frame, void *argument)
{
	while (__atomic_load_n(&control->backtrace_stops, __ATOMIC_ACQUIRE))
		pause();
	int (*next)(void *, void *) = (int (*)(void *, void *))dlsym(RTLD_NEXT, "_Unwind_Backtrace");
	return next ? next(handle_frame, argument) : 5 /* the end of the stack */;
}
