#define _GNU_SOURCE
#include "host/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/log.h"

#define LOOK_US 200
#define PATIENCE_MS 15000

/* The connection stays open until the process has a descriptor of its own: so it cannot be another one of that number.
 */
static int open_process(int sock, struct slu_takeover *takeover)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0)
		return -errno;
	if (peer.pid <= 0)
		return -ESRCH; /* of another PID namespace */
	takeover->fd = pidfd_open(peer.pid, 0);
	if (takeover->fd < 0)
		return -errno;
	takeover->pid = peer.pid;
	return 0;
}

int slu_takeover_find(struct slu_takeover *takeover, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock, error = 0;

	*takeover = (struct slu_takeover){.fd = -1};
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0)
		error = open_process(sock, takeover);
	close(sock);
	if (error)
		slu_error("API socket %s: who serves it cannot be replaced: %s", path, strerror(-error));
	return error;
}

/* Whether somebody holds the file; one that is not there is free. */
static bool is_held(const char *session_file)
{
	int fd = open(session_file, O_RDWR | O_CLOEXEC);
	bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return held;
}

int slu_takeover_end(const struct slu_takeover *takeover, const char *session_file)
{
	const struct timespec pause = {.tv_nsec = LOOK_US * 1000};

	if (takeover->fd < 0)
		return 0;
	slu_info("takes over from process %d", (int)takeover->pid);
	if (pidfd_send_signal(takeover->fd, SIGTERM, NULL, 0) != 0 && errno != ESRCH) {
		int error = -errno;

		slu_error("process %d: %s", (int)takeover->pid, strerror(-error));
		return error;
	}
	for (unsigned int turn = 0; turn < PATIENCE_MS * 1000u / LOOK_US; turn++) {
		if (!is_held(session_file))
			return 0;
		nanosleep(&pause, NULL);
	}
	slu_error("process %d does not let %s go", (int)takeover->pid, session_file);
	return -ETIMEDOUT;
}

void slu_takeover_close(struct slu_takeover *takeover)
{
	if (takeover->fd >= 0)
		close(takeover->fd);
	takeover->fd = -1;
}
