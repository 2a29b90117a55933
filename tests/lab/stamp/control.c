#include "tests/lab/stamp/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lab/stamp/client.h"
#include "tests/lab/stamp/judge.h"
#include "tests/lab/stamp/loop.h"
#include "tests/lab/stamp/report.h"

#define LINE 256

static struct stamp_watch control = {.fd = -1};
static uint32_t control_targets;

static void obey(const char *line, FILE *out)
{
	if (strcmp(line, "cut") == 0)
		stamp_judge_cut();
	else if (strcmp(line, "healed") == 0)
		stamp_judge_healed();
	else if (strncmp(line, "fault ", 6) == 0 && strpbrk(line, "\"\\") == NULL)
		stamp_judge_fault(line + 6);
	else if (strcmp(line, "quiet") == 0 && stamp_client_can_rest())
		stamp_client_quiet(true);
	else if (strcmp(line, "talk") == 0)
		stamp_client_quiet(false);
	else if (strcmp(line, "end") == 0)
		stamp_loop_stop();
	else if (strcmp(line, "report") == 0)
		stamp_report_json(out, control_targets);
	else if (strcmp(line, "line") == 0)
		stamp_report_text(out, control_targets);
	else if (strcmp(line, "list") == 0)
		stamp_judge_print_live(out);
	else if (strcmp(line, "gap") == 0)
		fprintf(out, "%llu\n", (unsigned long long)stamp_judge_gap_us() / 1000);
	else
		fprintf(out, "error: unknown here: %s\n", line);
}

/* The one who asks is on this machine and sends its line at once: it is waited for, but not long. */
static void on_control(struct stamp_watch *watch, uint32_t events)
{
	struct timeval patience = {.tv_usec = 200000};
	char line[LINE] = "", *answer = NULL;
	size_t answer_bytes = 0, done = 0;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
	FILE *out;
	ssize_t n;

	(void)events;
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

static int name_of(const char *path, struct sockaddr_un *name)
{
	memset(name, 0, sizeof(*name));
	name->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(name->sun_path))
		return -ENAMETOOLONG;
	memcpy(name->sun_path, path, strlen(path));
	return 0;
}

int stamp_control_open(const char *path, uint32_t target_count)
{
	struct sockaddr_un name;
	int result = name_of(path, &name);

	if (result < 0)
		return result;
	control_targets = target_count;
	control.run = on_control;
	control.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	if (control.fd < 0 || bind(control.fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
		listen(control.fd, 16) < 0)
		return -errno;
	return stamp_loop_watch(&control, EPOLLIN);
}

void stamp_control_close(const char *path)
{
	stamp_loop_close(&control);
	unlink(path);
}

int stamp_control_tell(const char *path, const char *line)
{
	struct sockaddr_un name;
	char answer[4096];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0, first = 1;
	ssize_t n;

	if (fd < 0 || name_of(path, &name) < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
		send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
		fprintf(stderr, "stamp: %s: %s\n", path, strerror(errno));
		return 1;
	}
	while ((n = recv(fd, answer, sizeof(answer), 0)) > 0) {
		if (first && strncmp(answer, "error:", 6) == 0)
			status = 1;
		first = 0;
		fwrite(answer, 1, (size_t)n, status == 0 ? stdout : stderr);
	}
	close(fd);
	return n < 0 ? 1 : status;
}
