#include "tests/lab/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE 512

static int name_of(const char *path, struct sockaddr_un *name)
{
	memset(name, 0, sizeof(*name));
	name->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(name->sun_path))
		return -ENAMETOOLONG;
	memcpy(name->sun_path, path, strlen(path));
	return 0;
}

int lab_line_listen(const char *path)
{
	struct sockaddr_un name;
	int result = name_of(path, &name), fd;

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, 16) == 0)
		return fd;
	result = -errno;
	if (fd >= 0)
		close(fd);
	return result;
}

/* The one who asks is on this machine and sends its line at once: it is waited for, but not long. */
void lab_line_serve(int fd, void (*obey)(char *line, FILE *out))
{
	struct timeval patience = {.tv_usec = 200000};
	char line[LINE] = "", *answer = NULL;
	size_t answer_bytes = 0, done = 0;
	FILE *out;
	ssize_t n;

	fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n = recv(fd, line, sizeof(line) - 1, 0);
	out = open_memstream(&answer, &answer_bytes);
	if (n > 0 && out != NULL) {
		line[strcspn(line, "\n")] = '\0';
		obey(line, out);
	}
	if (out != NULL)
		fclose(out);
	while (done < answer_bytes && (n = send(fd, answer + done, answer_bytes - done, MSG_NOSIGNAL)) > 0)
		done += (size_t)n;
	free(answer);
	close(fd);
}

static int connected(const char *path)
{
	struct sockaddr_un name;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && name_of(path, &name) == 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

int lab_line_tell(const char *path, char **words, int count)
{
	char line[LINE] = "", answer[4096];
	int i, fd = connected(path), status = 0;
	size_t used = 0, answered = 0;
	ssize_t n;

	if (fd < 0)
		return 1;
	for (i = 0; i < count && used < sizeof(line); i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s", i > 0 ? " " : "", words[i]);
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		status = 1;
	while (status == 0 && (n = recv(fd, answer, sizeof(answer), 0)) > 0) {
		status = answered == 0 && n >= 6 && strncmp(answer, "error:", 6) == 0;
		fwrite(answer, 1, (size_t)n, status == 0 ? stdout : stderr);
		answered += (size_t)n;
	}
	close(fd);
	return status;
}
