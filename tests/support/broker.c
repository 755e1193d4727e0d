#include "broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES 1000 /* of 10 ms */

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "broker: %s:%d: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                           \
        }                                                                      \
    } while (0)

static struct sockaddr_in local(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void)
{
    struct sockaddr_in address = local(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, len) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool listens(int port)
{
    struct sockaddr_in address = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

static void write_config(const struct broker *broker, const char *path)
{
    FILE *file = fopen(path, "w");
    CHECK(file);
    fprintf(file,
            "listen: 127.0.0.1:%d\nmax_payload: 8388608\nmax_pending: 67108864\n"
            "jetstream { store_dir: \"%s\", max_file_store: 268435456, max_memory_store: 16777216 }\n",
            broker->port, broker->dir);
    if (broker->refuses)
        fprintf(file, "authorization { user: \"nobody\", password: \"unknown\" }\n");
    CHECK(fclose(file) == 0);
}

static void become_broker(const char *config, const char *log)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execlp("nats-server", "nats-server", "-c", config, (char *)NULL);
    execl("/usr/sbin/nats-server", "nats-server", "-c", config, (char *)NULL);
    _exit(127);
}

void broker_start(struct broker *broker)
{
    char config[96], log[96];
    snprintf(config, sizeof config, "%s/nats.conf", broker->dir);
    snprintf(log, sizeof log, "%s/nats.log", broker->dir);
    write_config(broker, config);
    broker->pid = fork();
    CHECK(broker->pid >= 0);
    if (broker->pid == 0)
        become_broker(config, log);
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; !listens(broker->port); i++) {
        CHECK(i < START_TRIES && waitpid(broker->pid, NULL, WNOHANG) == 0);
        nanosleep(&pause, NULL);
    }
}

void broker_init(struct broker *broker)
{
    *broker = (struct broker){.dir = "/tmp/parley-broker-XXXXXX", .port = free_port()};
    CHECK(mkdtemp(broker->dir));
    snprintf(broker->url, sizeof broker->url, "nats://127.0.0.1:%d", broker->port);
    broker_start(broker);
}

void broker_kill(struct broker *broker)
{
    if (!broker->pid)
        return;
    CHECK(kill(broker->pid, SIGKILL) == 0);
    CHECK(waitpid(broker->pid, NULL, 0) == broker->pid);
    broker->pid = 0;
}

void broker_freeze(struct broker *broker)
{
    siginfo_t stopped;
    CHECK(kill(broker->pid, SIGSTOP) == 0);
    CHECK(waitid(P_PID, (id_t)broker->pid, &stopped, WSTOPPED) == 0); /* till then its threads may still answer */
}

void broker_thaw(struct broker *broker)
{
    CHECK(kill(broker->pid, SIGCONT) == 0);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

void broker_deinit(struct broker *broker)
{
    broker_kill(broker);
    nftw(broker->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
