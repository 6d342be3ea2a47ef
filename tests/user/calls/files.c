/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "calls.h"

static void show_stat(const char *what, const struct stat *s)
{
    printf("%s: mode %o links %lu size %ld blksize %ld blocks %ld mtime %ld.%09ld uid %d\n", what,
           s->st_mode, (unsigned long)s->st_nlink, (long)s->st_size, (long)s->st_blksize,
           (long)s->st_blocks, (long)s->st_mtim.tv_sec, s->st_mtim.tv_nsec, s->st_uid == getuid());
}

static void names(void)
{
    struct timespec times[2] = { { 1000000000, 123456789 }, { 1234567890, 987654321 } };
    struct stat s, s2;
    struct statx x;
    char buf[4096];
    int fd;

    SHOW(mkdir("d", 0751));
    SHOW(mkdir("d", 0751));
    fd = open("d/f", O_CREAT | O_EXCL | O_RDWR, 0640);
    SHOW(write(fd, "hello, world\n", 13));
    SHOW(futimens(fd, times));
    SHOW(fstat(fd, &s));
    show_stat("fstat", &s);
    SHOW(stat("d/f", &s));
    show_stat("stat", &s);
    SHOW(symlink("f", "d/l"));
    SHOW(lstat("d/l", &s2));
    printf("link: mode %o size %ld\n", s2.st_mode, (long)s2.st_size);
    SHOW(fstatat(AT_FDCWD, "d/l", &s2, 0));
    TRUTH(s2.st_ino == s.st_ino && s2.st_dev == s.st_dev);
    SHOW(statx(AT_FDCWD, "d/f", 0, STATX_BASIC_STATS, &x));
    TRUTH(x.stx_ino == s.st_ino && x.stx_size == 13 && x.stx_mtime.tv_nsec == 987654321);
    SHOW(readlink("d/l", buf, sizeof(buf)));
    SHOW(readlink("d/f", buf, sizeof(buf)));
    SHOW(link("d/f", "d/h"));
    SHOW(access("d/f", R_OK));
    SHOW(faccessat(AT_FDCWD, "d/none", F_OK, AT_EACCESS));
    SHOW(rename("d/h", "d/r"));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/r", AT_FDCWD, "d/f", 1 /* RENAME_NOREPLACE */));
    SHOW(truncate("d/r", 5));
    SHOW(chmod("d/r", 0600));
    SHOW(fchmodat(AT_FDCWD, "d/r", 04711, 0));
    SHOW(fstat(fd, &s));
    printf("mode %o size %ld links %lu\n", s.st_mode, (long)s.st_size, (unsigned long)s.st_nlink);
    SHOW(mknod("d/p", S_IFIFO | 0600, 0));
    SHOW(unlinkat(AT_FDCWD, "d", 0));
    SHOW(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    close(fd);
}

static void flags(void)
{
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY, .resolve = RESOLVE_BENEATH };
    char buf[8];
    int fd;

    SHOW(open("d/f", O_DIRECTORY | O_RDONLY));
    SHOW(open("d/l", O_NOFOLLOW | O_RDONLY));
    fd = OK(open("d/l", O_NOFOLLOW | O_PATH));
    close(fd);
    fd = open("d", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    TRUTH((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)) == 0);
    TRUTH(fcntl(fd, F_GETFL) & O_DIRECTORY);
    TRUTH(!(fcntl(fd, F_GETFL) & O_NOFOLLOW));
    TRUTH(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    fd = OK(syscall(SYS_openat2, AT_FDCWD, "d", &how, sizeof(how)));
    close(fd);
    SHOW(syscall(SYS_openat2, AT_FDCWD, "d/f", &how, sizeof(how)));
    SHOW(syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how)));
    SHOW(syscall(SYS_openat2, AT_FDCWD, "d", &how, 8));
    fd = open("d/f", O_RDWR | O_APPEND);
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK | O_NOATIME));
    TRUTH((fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND | O_NOATIME)) == (O_NONBLOCK | O_NOATIME));
    SHOW(fcntl(fd, F_SETFL, O_APPEND));
    TRUTH((fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND)) == O_APPEND);
    close(fd);
    fd = OK(open(".", O_TMPFILE | O_RDWR, 0600));
    SHOW(write(fd, "x", 1));
    SHOW(pread(fd, buf, 8, 0));
    close(fd);
}

static void transfers(void)
{
    char a[4], b[8] = "", c[16];
    struct iovec v[2] = { { a, 4 }, { b, 8 } };
    off_t off = 2;
    int fd = open("d/t", O_CREAT | O_RDWR, 0600), fd2 = open("d/u", O_CREAT | O_RDWR, 0600), p[2];

    SHOW(pwrite(fd, "0123456789abcdef", 16, 0));
    SHOW(readv(fd, v, 2));
    printf("%.4s %.8s\n", a, b);
    SHOW(preadv(fd, v, 2, 8));
    SHOW(preadv2(fd, v, 2, -1, 0));
    SHOW(preadv2(fd, v, 2, 0, 0x8000));
    SHOW(writev(fd, v, 2));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(sendfile(fd2, fd, &off, 5));
    printf("off %ld\n", (long)off);
    SHOW(copy_file_range(fd, &off, fd2, NULL, 4, 0));
    SHOW(pread(fd2, c, 16, 0));
    printf("%.9s\n", c);
    SHOW(pipe2(p, O_CLOEXEC | O_NONBLOCK));
    TRUTH((fcntl(p[0], F_GETFL) & O_NONBLOCK) && (fcntl(p[1], F_GETFD) & FD_CLOEXEC));
    off = 0;
    SHOW(splice(fd, &off, p[1], NULL, 6, 0));
    SHOW(read(p[0], c, 16));
    v[0] = (struct iovec){ (char *)"vm", 2 };
    SHOW(vmsplice(p[1], v, 1, 0));
    SHOW(read(p[0], c, 16));
    SHOW(read(p[0], c, 16));
    SHOW(fallocate(fd, 0, 0, 8192));
    SHOW(posix_fadvise(fd, 0, 100, POSIX_FADV_SEQUENTIAL));
    SHOW(readahead(fd, 0, 4096));
    SHOW(sync_file_range(fd, 0, 4096, 0));
    SHOW(fdatasync(fd));
    SHOW(ftruncate(fd, 3));
    SHOW(read(fd, c, 0));
    close(fd);
    close(fd2);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void directories(void)
{
    struct dirent *e;
    struct statfs f, f2;
    char *list[32], cwd[4096];
    int n = 0, fd;
    DIR *d = opendir("d");

    while ((e = readdir(d)) && n < 32)
        list[n++] = strdup(e->d_name);
    closedir(d);
    qsort(list, n, sizeof(*list), by_name);
    for (int i = 0; i < n; i++)
        printf("%s%s", list[i], i == n - 1 ? "\n" : " ");
    SHOW(statfs("d", &f));
    fd = open("d", O_RDONLY);
    SHOW(fstatfs(fd, &f2));
    TRUTH(f.f_type == f2.f_type && f.f_bsize == f2.f_bsize && f.f_blocks == f2.f_blocks &&
          f.f_namelen == f2.f_namelen && f.f_frsize == f2.f_frsize);
    printf("bsize %ld namelen %ld\n", (long)f.f_bsize, (long)f.f_namelen);
    SHOW(fchdir(fd));
    TRUTH(getcwd(cwd, sizeof(cwd)) && strcmp(cwd + strlen(cwd) - 2, "/d") == 0);
    SHOW(chdir(".."));
    TRUTH(getcwd(cwd, 2) == NULL && errno == ERANGE);
    close(fd);
    SHOW(setxattr("d/f", "user.rhea", "value", 5, 0));
    SHOW(getxattr("d/f", "user.rhea", cwd, 100));
    SHOW(getxattr("d/f", "user.none", cwd, 100));
    SHOW(listxattr("d/f", cwd, 2));
    SHOW(removexattr("d/f", "user.rhea"));
}

void files(void)
{
    struct {
        struct file_handle h;
        char space[128];
    } handle = { .h.handle_bytes = 0 };
    int id;

    umask(022);
    names();
    flags();
    transfers();
    directories();
    SHOW(name_to_handle_at(AT_FDCWD, "d/f", &handle.h, &id, 0));
    printf("umask %o\n", umask(077));
    if (system("rm -rf d") < 0)
        puts("rm");
}
