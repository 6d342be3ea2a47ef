/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "calls.h"

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static void semaphores(void)
{
    struct sembuf op = { 1, 2, IPC_NOWAIT }, down = { 0, -1, IPC_NOWAIT };
    unsigned short values[3] = { 7, 8, 9 };
    struct semid_ds ds;
    int id = semget(IPC_PRIVATE, 3, 0600);

    SHOW(semctl(id, 0, SETVAL, (union semun){ .val = 0 }));
    SHOW(semop(id, &op, 1));
    SHOW(semop(id, &down, 1));
    SHOW(semctl(id, 1, GETVAL));
    SHOW(semctl(id, 0, IPC_STAT, (union semun){ .buf = &ds }));
    TRUTH(ds.sem_nsems == 3 && ds.sem_perm.mode == 0600 && ds.sem_ctime > 1000000000 &&
          ds.sem_otime > 1000000000 && ds.sem_perm.uid == getuid());
    ds.sem_perm.mode = 0640;
    SHOW(semctl(id, 0, IPC_SET, (union semun){ .buf = &ds }));
    SHOW(semctl(id, 0, SETALL, (union semun){ .array = values }));
    memset(values, 0, sizeof(values));
    SHOW(semctl(id, 0, GETALL, (union semun){ .array = values }));
    printf("%d %d %d\n", values[0], values[1], values[2]);
    SHOW(semctl(id, 0, IPC_RMID));
    SHOW(semctl(id, 0, GETVAL));
}

static void queues(void)
{
    struct {
        long type;
        char text[16];
    } m = { 5, "message" }, r;
    struct msqid_ds ds;
    int id = msgget(IPC_PRIVATE, 0600);

    SHOW(msgsnd(id, &m, 8, 0));
    SHOW(msgctl(id, IPC_STAT, &ds));
    printf("%ld messages\n", (long)ds.msg_qnum);
    SHOW(msgrcv(id, &r, 16, 6, IPC_NOWAIT));
    SHOW(msgrcv(id, &r, 4, 0, 0));
    SHOW(msgrcv(id, &r, 16, -6, 0));
    printf("%ld %s\n", r.type, r.text);
    m.type = 0;
    SHOW(msgsnd(id, &m, 8, 0));
    SHOW(msgctl(id, IPC_RMID, NULL));
}

static void memory(void)
{
    struct shmid_ds ds;
    int id = shmget(IPC_PRIVATE, 8192, 0600);
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);

    TRUTH(a != (void *)-1 && b != (void *)-1 && a != b);
    strcpy(a + 5000, "shared");
    puts(b + 5000);
    SHOW(shmctl(id, IPC_STAT, &ds));
    printf("size %ld attached %ld\n", (long)ds.shm_segsz, (long)ds.shm_nattch);
    SHOW(shmdt(a));
    SHOW(shmdt(a));
    SHOW(shmdt(b));
    SHOW(shmctl(id, IPC_RMID, NULL));
}

void ipc(void)
{
    struct mq_attr at = { .mq_maxmsg = 3, .mq_msgsize = 32 };
    struct timespec past = { 1, 0 };
    unsigned prio;
    char buf[32], name[32];
    mqd_t q;

    semaphores();
    queues();
    memory();
    snprintf(name, sizeof(name), "/rhea-%d", getpid());
    q = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &at);
    if (q < 0) {
        puts("no message queues");
        return;
    }
    SHOW(mq_send(q, "one", 3, 4));
    SHOW(mq_getattr(q, &at));
    printf("max %ld size %ld now %ld nonblock %d\n", at.mq_maxmsg, at.mq_msgsize, at.mq_curmsgs,
           at.mq_flags == O_NONBLOCK);
    SHOW(mq_receive(q, buf, 32, &prio));
    printf("prio %u\n", prio);
    SHOW(mq_timedreceive(q, buf, 32, NULL, &past));
    SHOW(mq_unlink(name));
}
