/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest program for the tests of user mode: says what it finds, or does what it is told. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int show(int argc, char **argv)
{
    struct utsname u;
    unsigned char *random = (unsigned char *)getauxval(AT_RANDOM);
    printf("argv0 %s\n", argv[0]);
    for (int i = 2; i < argc; i++)
        printf("arg %s\n", argv[i]);
    for (char **e = environ; *e; e++)
        printf("env %s\n", *e);
    uname(&u);
    printf("uname %s %s\n", u.release, u.machine);
    printf("random");
    for (int i = 0; i < 16; i++)
        printf(" %02x", random[i]);
    printf("\nexecfn %s\n", (char *)getauxval(AT_EXECFN));
    printf("pagesz %lu\n", getauxval(AT_PAGESZ));
    printf("secure %lu\n", getauxval(AT_SECURE));
    printf("aligned %d\n", ((unsigned long)__builtin_frame_address(0) & 15) == 0);
    printf("uid %d\n", getauxval(AT_UID) == getuid() && getauxval(AT_EGID) == getegid());
    printf("phdr %d\n", getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 2);
    return 0;
}

static int cat(const char *path)
{
    char buf[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        printf("open: %s\n", strerror(errno));
        return 1;
    }
    while ((n = read(fd, buf, sizeof buf)) > 0)
        if (write(1, buf, n) != n)
            return 1;
    return 0;
}

static int readlink_of(const char *path)
{
    char buf[4096];
    ssize_t n = readlink(path, buf, sizeof buf);
    printf("%.*s\n", (int)(n > 0 ? n : 0), buf);
    return n <= 0;
}

/* Replaces itself; the file by descriptor from a directory's or its own when asked. */
static int exec(char **argv)
{
    execv(argv[0], argv);
    printf("exec: %s\n", strerror(errno));
    return 1;
}

static int exec_fd(char **argv)
{
    char *args[] = { (char *)"by-descriptor", (char *)"show", NULL };
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    fexecve(fd, args, environ);
    printf("exec: %s\n", strerror(errno));
    return 1;
}

static int exec_memfd(char **argv)
{
    char *args[] = { (char *)"from-memory", (char *)"show", NULL }, buf[65536];
    int in = open(argv[0], O_RDONLY), out = memfd_create("program", MFD_CLOEXEC);
    ssize_t n;
    while ((n = read(in, buf, sizeof buf)) > 0)
        if (write(out, buf, n) != n)
            return 1;
    fexecve(out, args, environ);
    printf("exec: %s\n", strerror(errno));
    return 1;
}

static int spawn(char **argv)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid)
        _exit(exec(argv));
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    printf("status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    return 0;
}

static int deep(int n)
{
    volatile char page[4096];
    page[0] = (char)n;
    return n ? deep(n - 1) + page[0] : 0;
}

/* What lies behind each other in memory, as the program sees it. */
static int memory(void)
{
    char *a = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *old = sbrk(0);
    printf("brk %d\n", sbrk(100000) == old && (memset(old, 1, 100000), sbrk(0) == old + 100000));
    munmap(a + 4096, 4096);
    printf("hole %d\n", mprotect(a, 3 * 4096, PROT_READ) == -1 && errno == ENOMEM);
    a = mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("fixed %d\n", a == (char *)0x10000000);
    a = mmap(a, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("noreplace %d\n", a == MAP_FAILED && errno == EEXIST);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "show";
    const char *arg = argc > 2 ? argv[2] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(what, "show"))
        return show(argc, argv);
    if (!strcmp(what, "exit"))
        return atoi(arg);
    if (!strcmp(what, "abort"))
        abort();
    if (!strcmp(what, "cat"))
        return cat(arg);
    if (!strcmp(what, "readlink"))
        return readlink_of(arg);
    if (!strcmp(what, "exec"))
        return exec(argv + 2);
    if (!strcmp(what, "exec-fd"))
        return exec_fd(argv + 2);
    if (!strcmp(what, "exec-memfd"))
        return exec_memfd(argv + 2);
    if (!strcmp(what, "spawn"))
        return spawn(argv + 2);
    if (!strcmp(what, "deep"))
        return deep(atoi(arg)) == -1;
    if (!strcmp(what, "memory"))
        return memory();
    if (argc > 1 && strchr(what, '/')) /* "#!probe": the script's name came as argument */
        return show(argc, argv);
    return 99;
}
