/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processes as a program sees them: fork, vfork, posix_spawn, clone with shared memory, exec
 * storms.
 */
#include "guest_test.h"
#include <fcntl.h>
#include <spawn.h>
#include <linux/sched.h>

extern char **environ;
static char *self;

static int wait_for(pid_t pid)
{
    int status = -1;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void forks(void)
{
    int value = 1;
    pid_t pid;

    for (int i = 0; i < 20; i++) {
        pid = fork();
        if (pid == 0) {
            value = 2;
            _exit(getppid() > 0 && gettid() == getpid() ? i : 99);
        }
        CHECK_EQ(wait_for(pid), i << 8);
    }
    CHECK_EQ(value, 1);
}

static void vforks(void)
{
    static volatile int shared;

    for (int i = 0; i < 20; i++) {
        pid_t pid = vfork();

        if (pid == 0) {
            shared = i;
            _exit(3);
        }
        CHECK_EQ(shared, i); /* the same memory, and the parent has waited */
        CHECK_EQ(wait_for(pid), 3 << 8);
    }
    for (int i = 0; i < 10; i++) {
        pid_t pid = vfork();

        if (pid == 0) {
            execl("/bin/true", "true", NULL);
            _exit(99);
        }
        CHECK_EQ(wait_for(pid), 0);
    }
}

static void spawns(void)
{
    for (int i = 0; i < 10; i++) {
        char *argv[] = { self, "--exit", "6", NULL };
        pid_t pid;

        CHECK_EQ(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
        CHECK_EQ(wait_for(pid), 6 << 8);
        CHECK_EQ(posix_spawn(&pid, "/no/such", NULL, NULL, argv, environ), ENOENT);
    }
}

static void handler(int sig)
{
}

/* The child resets handlers: the parent's must stay. */
static void spawn_signals(void)
{
    posix_spawnattr_t a;
    posix_spawn_file_actions_t fa;
    sigset_t all, none, now;
    char *argv[] = { "sh", "-c", "kill -USR1 $$; exit 1", NULL };
    struct sigaction sa;
    pid_t pid;

    signal(SIGUSR1, handler);
    posix_spawnattr_init(&a);
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setflags(&a, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&a, &all);
    posix_spawnattr_setsigmask(&a, &none);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    CHECK_EQ(posix_spawn(&pid, "/bin/sh", &fa, &a, argv, environ), 0);
    CHECK_EQ(wait_for(pid), SIGUSR1);
    sigaction(SIGUSR1, NULL, &sa);
    CHECK(sa.sa_handler == handler);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(!sigismember(&now, SIGUSR1));
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
}

static void pipes(void)
{
    for (int i = 0; i < 5; i++) {
        char line[64] = "";
        FILE *f = popen("echo one; exit 4", "r");

        CHECK(f && fgets(line, sizeof(line), f));
        CHECK(!strcmp(line, "one\n"));
        CHECK_EQ(pclose(f), 4 << 8);
        CHECK_EQ(system("exit 2"), 2 << 8);
    }
}

static volatile int by_clone;
static int clone_main(void *arg)
{
    by_clone = (int)(long)arg;
    return 5;
}

static int slow_main(void *arg)
{
    usleep(20000);
    by_clone = (int)(long)arg;
    return 6;
}

static void clones(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int ptid = 0, ctid = -1;
    pid_t pid;

    pid = clone(clone_main, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)11l);
    CHECK(pid > 0);
    CHECK_EQ(by_clone, 11);
    CHECK_EQ(wait_for(pid), 5 << 8);
    pid = clone(slow_main, stack + sizeof(stack),
                CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, (void *)12l, &ptid,
                NULL, &ctid);
    CHECK(pid > 0);
    CHECK_EQ(ptid, pid);
    CHECK_EQ(by_clone, 11); /* the parent goes on */
    CHECK_EQ(wait_for(pid), 6 << 8);
    CHECK_EQ(by_clone, 12);
    CHECK_EQ(ctid, pid);
    pid = clone(clone_main, stack + sizeof(stack), SIGCHLD, (void *)13l);
    CHECK_EQ(wait_for(pid), 5 << 8);
    CHECK_EQ(by_clone, 12);
    /* another signal at its end */
    pid = clone(clone_main, stack + sizeof(stack), 0, (void *)14l);
    CHECK_EQ(waitpid(pid, NULL, 0), -1);
    CHECK_EQ(errno, ECHILD);
    CHECK_EQ(waitpid(pid, NULL, __WCLONE), pid);
    CHECK_EQ(clone(clone_main, stack + sizeof(stack), CLONE_SIGHAND | SIGCHLD, NULL), -1);
    CHECK_EQ(errno, EINVAL);
}

static void pidfds(void)
{
    struct clone_args c = { .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
    int fd = -1;
    siginfo_t info;
    long pid;

    c.pidfd = (uintptr_t)&fd;
    pid = syscall(SYS_clone3, &c, sizeof(c));
    if (pid == 0)
        _exit(8);
    CHECK(pid > 0);
    CHECK(fd >= 0);
    CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED), 0);
    CHECK_EQ(info.si_status, 8);
    close(fd);
}

static _Atomic int stop_now;
static void *allocate(void *arg)
{
    while (!stop_now) {
        void *p[64];

        for (int i = 0; i < 64; i++)
            p[i] = malloc(64 + i * 16);
        for (int i = 0; i < 64; i++)
            free(p[i]);
    }
    return NULL;
}

/* fork while other threads hold locks of all kinds */
static void fork_in_threads(void)
{
    pthread_t t[3];

    stop_now = 0;
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, allocate, NULL);
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            free(malloc(1000));
            _exit(4);
        }
        CHECK_EQ(wait_for(pid), 4 << 8);
    }
    stop_now = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

static void *spawner(void *arg)
{
    for (int i = 0; i < 8; i++) {
        char *argv[] = { "true", NULL };
        pid_t pid;

        CHECK_EQ(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
        CHECK_EQ(wait_for(pid), 0);
    }
    return NULL;
}

static void spawn_in_threads(void)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, spawner, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

static volatile int alarms;
static void on_alarm(int sig)
{
    alarms++;
}

/* A timer hits forks, waits and spawns. */
static void under_timer(void)
{
    struct itimerval it = { { 0, 700 }, { 0, 700 } }, off = { 0 };
    struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    char *argv[] = { "true", NULL };

    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(1);
        CHECK_EQ(wait_for(pid), 1 << 8);
        CHECK_EQ(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
        CHECK_EQ(wait_for(pid), 0);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    CHECK(alarms > 0);
    signal(SIGALRM, SIG_DFL);
}

static volatile pid_t spinning;
static void *shoot(void *arg)
{
    while (!spinning)
        usleep(100);
    usleep(2000);
    kill(spinning, SIGKILL);
    return NULL;
}

/* A child that shares our memory is killed in the middle of its run. */
static void vfork_killed(void)
{
    for (int i = 0; i < 5; i++) {
        pthread_t t;
        pid_t pid;

        spinning = 0;
        pthread_create(&t, NULL, shoot, NULL);
        pid = vfork();
        if (pid == 0) {
            spinning = getpid();
            for (;;)
                ;
        }
        CHECK_EQ(wait_for(pid), SIGKILL);
        pthread_join(t, NULL);
        spawns();
    }
}

/* A fault in a child that shares our memory is its own. */
static void vfork_faults(void)
{
    struct rlimit none = { 0, 0 };
    pid_t pid = vfork();

    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &none);
        *(volatile int *)16 = 1;
        _exit(0);
    }
    CHECK_EQ(wait_for(pid) & 0x7f, SIGSEGV);
}

static void nothing(int sig)
{
}

/* A signal that comes before a call is handled before it: no call that does not wait fails. */
static void before_calls(void)
{
    struct sigaction a = { .sa_handler = nothing };
    struct itimerval on = { { 0, 80 }, { 0, 80 } }, off = { { 0, 0 }, { 0, 0 } };
    unsigned bad = 0;

    sigaction(SIGALRM, &a, NULL); /* without SA_RESTART */
    setitimer(ITIMER_REAL, &on, NULL);
    for (unsigned i = 0; i < 50000; i++) {
        int fd = dup(0);

        bad += fd < 0 || close(fd) < 0;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    CHECK(bad == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        { "forks", forks },
        { "vforks", vforks },
        { "spawns", spawns },
        { "spawn_signals", spawn_signals },
        { "pipes", pipes },
        { "clones", clones },
        { "pidfds", pidfds },
        { "fork_in_threads", fork_in_threads },
        { "spawn_in_threads", spawn_in_threads },
        { "under_timer", under_timer },
        { "vfork_killed", vfork_killed },
        { "vfork_faults", vfork_faults },
        { "before_calls", before_calls },
        { 0 },
    };

    self = argv[0];
    if (argc > 2 && !strcmp(argv[1], "--exit"))
        return atoi(argv[2]);
    return tests_run(tests, argc, argv);
}
