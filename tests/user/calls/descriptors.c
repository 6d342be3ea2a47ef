/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>

#include "calls.h"

static void locks(int fd)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20 };
    struct f_owner_ex own;
    int fd2 = open("locked", O_RDWR);

    SHOW(fcntl(fd, F_SETLK, &l));
    SHOW(fcntl(fd, F_GETLK, &l));
    printf("type %d start %ld len %ld\n", l.l_type, (long)l.l_start, (long)l.l_len);
    l = (struct flock){ .l_type = F_RDLCK };
    SHOW(fcntl(fd2, F_OFD_GETLK, &l));
    printf("type %d start %ld pid %d\n", l.l_type, (long)l.l_start, l.l_pid == getpid());
    l = (struct flock){ .l_type = 99 };
    SHOW(fcntl(fd, F_SETLKW, &l));
    SHOW(flock(fd, LOCK_EX | LOCK_NB));
    SHOW(flock(fd2, LOCK_EX | LOCK_NB));
    SHOW(fcntl(fd, F_SETOWN, getpid()));
    TRUTH(fcntl(fd, F_GETOWN) == getpid());
    SHOW(fcntl(fd, F_GETOWN_EX, &own));
    TRUTH(own.type == F_OWNER_PID && own.pid == getpid());
    SHOW(fcntl(fd, F_SETSIG, SIGUSR1));
    SHOW(fcntl(fd, F_GETSIG));
    SHOW(fcntl(fd, 9999, 0));
    close(fd2);
}

static void terminals(void)
{
    struct winsize w = { 24, 80, 0, 0 }, w2;
    struct termios t;
    int m, s, n;

    if (OK(openpty(&m, &s, NULL, NULL, &w)) < 0)
        return;
    SHOW(ioctl(s, TIOCGWINSZ, &w2));
    printf("%d x %d\n", w2.ws_row, w2.ws_col);
    SHOW(tcgetattr(s, &t));
    printf("iflag %o oflag %o cflag %o lflag %o intr %d min %d\n", t.c_iflag, t.c_oflag, t.c_cflag,
           t.c_lflag, t.c_cc[VINTR], t.c_cc[VMIN]);
    cfmakeraw(&t);
    SHOW(tcsetattr(s, TCSAFLUSH, &t));
    SHOW(isatty(s));
    SHOW(write(m, "abc", 3));
    SHOW(poll(&(struct pollfd){ s, POLLIN }, 1, 1000));
    SHOW(ioctl(s, FIONREAD, &n));
    printf("readable %d\n", n);
    SHOW(ioctl(s, 0x5499, &n));
    SHOW(tcflush(s, TCIFLUSH));
    close(m);
    close(s);
}

void descriptors(void)
{
    uint64_t v = 5;
    int fd = open("locked", O_CREAT | O_RDWR, 0600), p[2], e, m;
    char *map;

    locks(fd);
    terminals();
    SHOW(dup2(fd, 100));
    SHOW(dup3(fd, 101, O_CLOEXEC));
    SHOW(dup3(fd, fd, 0));
    SHOW(fcntl(101, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 200));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 201));
    SHOW(syscall(SYS_close_range, 100, 300, 0));
    SHOW(fcntl(100, F_GETFD));
    SHOW(close(200));
    SHOW(syscall(SYS_close_range, 3000, 300, 0));
    e = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    SHOW(read(e, &v, 8));
    printf("event %ld\n", (long)v);
    SHOW(write(e, &v, 8));
    SHOW(write(e, &v, 4));
    SHOW(pipe(p));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 65536));
    SHOW(fcntl(p[1], F_GETPIPE_SZ));
    SHOW(ioctl(p[0], FIONBIO, &(int){ 1 }));
    SHOW(read(p[0], &v, 8));
    m = memfd_create("name", MFD_ALLOW_SEALING);
    SHOW(ftruncate(m, 8192));
    map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
    strcpy(map + 4096, "shared");
    SHOW(pread(m, &v, 6, 4096));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(fcntl(m, F_GET_SEALS));
    SHOW(ftruncate(m, 16384));
    SHOW(msync(map, 8192, MS_SYNC));
    munmap(map, 8192);
    unlink("locked");
    for (int i = 3; i < 30; i++)
        close(i);
}
