/* Stands between a program and the C library, by LD_PRELOAD, for files below $SIAMESE_IO_ROOT:
 *
 *   $SIAMESE_IO_LOG   a file to which every change, with its content, and every fsync is appended in
 *                     the order in which they happened
 *   $SIAMESE_IO_FAIL  a file; while it exists and begins with "f", every fsync fails with EIO, and
 *                     with "w" every write fails with ENOSPC, and with "h" every fsync hangs
 *
 * power_cut.rs reads the log; both formats are known there and here only. One lock is held around
 * each call and its line in the log, so that their orders are the same. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { START = 1, OPEN, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, FSYNC, CLOSE };

#define MAX_FILES 65536
static char tracked[MAX_FILES];
static const char *root, *failing;
static int log_file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void record(uint8_t kind, int32_t file, uint64_t number, const void *bytes, uint32_t length) {
    if (log_file < 0) return;
    uint8_t head[17];
    head[0] = kind;
    memcpy(head + 1, &file, 4);
    memcpy(head + 5, &number, 8);
    memcpy(head + 13, &length, 4);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};
    if (writev(log_file, parts, 2) != (ssize_t)(sizeof head + length)) _exit(99);
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("SIAMESE_IO_ROOT");
    failing = getenv("SIAMESE_IO_FAIL");
    const char *path = getenv("SIAMESE_IO_LOG");
    if (path) log_file = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    record(START, 0, 0, "", 0);
}

static int below_root(const char *path) {
    return root && strncmp(path, root, strlen(root)) == 0;
}

static int is_tracked(int file) { return file >= 0 && file < MAX_FILES && tracked[file]; }

static int fails(char what) {
    char found = 0;
    if (!failing) return 0;
    int file = REAL(open)(failing, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, &found, 1) != 1) found = 0;
    REAL(close)(file);
    return found == what;
}

/* The whole path of a name in an open folder. */
static const char *whole(int folder, const char *name, char *buffer, size_t size) {
    char link[64], path[4096];
    if (name[0] == '/' || folder == AT_FDCWD) return name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return name;
    path[length] = 0;
    snprintf(buffer, size, "%s/%s", path, name);
    return buffer;
}

static int opened(int file, int flags, const char *path) {
    if (file >= 0 && file < MAX_FILES) {
        tracked[file] = below_root(path);
        if (tracked[file]) record(OPEN, file, (uint64_t)flags, path, strlen(path));
    }
    return file;
}

#define OPENS(name)                                                                   \
    int name(const char *path, int flags, ...) {                                      \
        va_list more;                                                                 \
        va_start(more, flags);                                                        \
        mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;                   \
        va_end(more);                                                                 \
        pthread_mutex_lock(&lock);                                                    \
        int file = opened(REAL(name)(path, flags, mode), flags, path);                \
        int error = errno;                                                            \
        pthread_mutex_unlock(&lock);                                                  \
        errno = error;                                                                \
        return file;                                                                  \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                \
    int name(int folder, const char *path, int flags, ...) {                          \
        char buffer[8192];                                                            \
        va_list more;                                                                 \
        va_start(more, flags);                                                        \
        mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;                   \
        va_end(more);                                                                 \
        pthread_mutex_lock(&lock);                                                    \
        int file = opened(REAL(name)(folder, path, flags, mode), flags,               \
                          whole(folder, path, buffer, sizeof buffer));                \
        int error = errno;                                                            \
        pthread_mutex_unlock(&lock);                                                  \
        errno = error;                                                                \
        return file;                                                                  \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

int close(int file) {
    pthread_mutex_lock(&lock);
    if (is_tracked(file)) {
        tracked[file] = 0;
        record(CLOSE, file, 0, "", 0);
    }
    int result = REAL(close)(file), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

/* CALL is made under the lock when the file is one of ours; NOTE records it when it succeeded. */
#define CHANGES(CALL, NOTE, WHAT, ERROR)                                              \
    if (!is_tracked(file)) return CALL;                                               \
    pthread_mutex_lock(&lock);                                                        \
    __typeof__(CALL) result;                                                          \
    if (fails(WHAT)) {                                                                \
        result = -1;                                                                  \
        errno = ERROR;                                                                \
    } else {                                                                          \
        result = CALL;                                                                \
    }                                                                                 \
    int error = errno;                                                                \
    if (result >= 0) NOTE;                                                            \
    pthread_mutex_unlock(&lock);                                                      \
    errno = error;                                                                    \
    return result

ssize_t write(int file, const void *bytes, size_t length) {
    CHANGES(REAL(write)(file, bytes, length),
            record(WRITE, file, (uint64_t)(lseek(file, 0, SEEK_CUR) - result), bytes, result), 'w',
            ENOSPC);
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    CHANGES(REAL(pwrite)(file, bytes, length, offset), record(WRITE, file, offset, bytes, result),
            'w', ENOSPC);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    CHANGES(REAL(pwrite64)(file, bytes, length, offset), record(WRITE, file, offset, bytes, result),
            'w', ENOSPC);
}
int ftruncate(int file, off_t length) {
    CHANGES(REAL(ftruncate)(file, length), record(TRUNCATE, file, length, "", 0), 'w', ENOSPC);
}
int ftruncate64(int file, off64_t length) {
    CHANGES(REAL(ftruncate64)(file, length), record(TRUNCATE, file, length, "", 0), 'w', ENOSPC);
}
static void hang_for_a_while(void) {
    while (fails('h')) usleep(10000);
}

int fsync(int file) {
    if (is_tracked(file)) hang_for_a_while();
    CHANGES(REAL(fsync)(file), record(FSYNC, file, 0, "", 0), 'f', EIO);
}
int fdatasync(int file) {
    if (is_tracked(file)) hang_for_a_while();
    CHANGES(REAL(fdatasync)(file), record(FSYNC, file, 0, "", 0), 'f', EIO);
}

/* The same for calls that name a file. */
#define NAMES(KIND, PATH, CALL)                                                       \
    pthread_mutex_lock(&lock);                                                        \
    int result = CALL, error = errno;                                                 \
    if (result == 0 && below_root(PATH)) record(KIND, 0, 0, PATH, strlen(PATH));      \
    pthread_mutex_unlock(&lock);                                                      \
    errno = error;                                                                    \
    return result

int unlink(const char *path) { NAMES(UNLINK, path, REAL(unlink)(path)); }
int rmdir(const char *path) { NAMES(RMDIR, path, REAL(rmdir)(path)); }
int mkdir(const char *path, mode_t mode) { NAMES(MKDIR, path, REAL(mkdir)(path, mode)); }
int unlinkat(int folder, const char *path, int flags) {
    char buffer[8192];
    const char *name = whole(folder, path, buffer, sizeof buffer);
    NAMES((flags & AT_REMOVEDIR) ? RMDIR : UNLINK, name, REAL(unlinkat)(folder, path, flags));
}
int renameat(int old_folder, const char *from, int new_folder, const char *to) {
    char both[8192];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    pthread_mutex_lock(&lock);
    int result = REAL(renameat)(old_folder, from, new_folder, to), error = errno;
    if (result == 0 && below_root(from)) record(RENAME, 0, 0, both, length);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int rename(const char *from, const char *to) {
    char both[8192];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    pthread_mutex_lock(&lock);
    int result = REAL(rename)(from, to), error = errno;
    if (result == 0 && below_root(from)) record(RENAME, 0, 0, both, length);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
