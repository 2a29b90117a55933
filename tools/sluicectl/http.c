#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/sluicectl/http.h"

#define SILENCE_S 60
#define HEAD_MAX 65536u

/* Bytes that arrived and were not looked at yet. */
struct stream {
	int fd;
	char *data;
	size_t start, end, room;
	bool closed;
};

static int reach(const char *path, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval silence = {SILENCE_S, 0};
	int ret = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
	if (connect(*fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		ret = -errno;
		close(*fd);
	}
	return ret;
}

static int send_all(int fd, const char *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		data += sent;
		bytes -= (size_t)sent;
	}
	return 0;
}

static int send_request(int fd, const char *method, const char *target, const void *body, size_t bytes)
{
	char *head;
	int ret = asprintf(&head,
		"%s %s HTTP/1.1\r\nHost: sluice\r\nConnection: close\r\nContent-Type: "
		"application/json\r\nContent-Length: %zu\r\n\r\n",
		method, target, bytes);

	if (ret < 0)
		return -ENOMEM;
	ret = send_all(fd, head, strlen(head));
	free(head);
	/* A server that refuses a large body may close early; its answer is there nevertheless. */
	if (ret == 0 && bytes > 0 && send_all(fd, body, bytes) == -ETIMEDOUT)
		ret = -ETIMEDOUT;
	return ret;
}

/* Reads more. Returns 0, also at the end (closed is true then), or -errno. */
static int stream_fill(struct stream *stream)
{
	ssize_t got;

	if (stream->start > 0 && stream->start == stream->end)
		stream->start = stream->end = 0;
	if (stream->end == stream->room) {
		size_t room = stream->room ? 2 * stream->room : 65536;
		char *data = realloc(stream->data, room);

		if (data == NULL)
			return -ENOMEM;
		stream->data = data;
		stream->room = room;
	}
	do
		got = recv(stream->fd, stream->data + stream->end, stream->room - stream->end, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	stream->closed = got == 0;
	stream->end += (size_t)got;
	return 0;
}

/* A line without its end, valid until the next read; NULL with *ret set otherwise. */
static char *stream_line(struct stream *stream, int *ret)
{
	for (;;) {
		char *from = stream->data + stream->start;
		char *newline = stream->end > stream->start ? memchr(from, '\n', stream->end - stream->start) : NULL;

		if (newline != NULL) {
			stream->start = (size_t)(newline + 1 - stream->data);
			*newline = '\0';
			if (newline > from && newline[-1] == '\r')
				newline[-1] = '\0';
			*ret = 0;
			return from;
		}
		if (stream->end - stream->start > HEAD_MAX || stream->closed) {
			*ret = -EPROTO;
			return NULL;
		}
		*ret = stream_fill(stream);
		if (*ret != 0)
			return NULL;
	}
}

/* Moves `bytes` of the stream to the end of the answer. */
static int take(struct stream *stream, size_t bytes, struct slu_http_answer *answer)
{
	char *body = realloc(answer->body, answer->bytes + bytes + 1);
	int ret;

	if (body == NULL)
		return -ENOMEM;
	answer->body = body;
	while (bytes > 0) {
		size_t there = stream->end - stream->start, now = there < bytes ? there : bytes;

		memcpy(answer->body + answer->bytes, stream->data + stream->start, now);
		stream->start += now;
		answer->bytes += now;
		bytes -= now;
		if (bytes > 0 && stream->closed)
			return -EPROTO;
		ret = bytes > 0 ? stream_fill(stream) : 0;
		if (ret != 0)
			return ret;
	}
	answer->body[answer->bytes] = '\0';
	return 0;
}

static int take_chunks(struct stream *stream, struct slu_http_answer *answer)
{
	for (;;) {
		unsigned long long bytes;
		char *line, *end;
		int ret;

		line = stream_line(stream, &ret);
		if (line == NULL)
			return ret;
		bytes = strtoull(line, &end, 16);
		if (end == line || bytes > 1ull << 40)
			return -EPROTO;
		if (bytes == 0)
			return take(stream, 0, answer);
		ret = take(stream, (size_t)bytes, answer);
		if (ret == 0 && stream_line(stream, &ret) == NULL && ret == 0)
			ret = -EPROTO;
		if (ret != 0)
			return ret;
	}
}

static int take_rest(struct stream *stream, struct slu_http_answer *answer)
{
	int ret = 0;

	while (ret == 0 && !stream->closed) {
		ret = take(stream, stream->end - stream->start, answer);
		if (ret == 0)
			ret = stream_fill(stream);
	}
	return ret != 0 ? ret : take(stream, stream->end - stream->start, answer);
}

static int read_answer(struct stream *stream, struct slu_http_answer *answer)
{
	long long length = -1;
	bool chunked = false;
	char *line;
	int ret;

	line = stream_line(stream, &ret);
	if (line == NULL)
		return ret;
	if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12)
		return -EPROTO;
	answer->status = atoi(line + 9);
	while ((line = stream_line(stream, &ret)) != NULL && line[0] != '\0') {
		if (strncasecmp(line, "content-length:", 15) == 0)
			length = atoll(line + 15);
		else if (strncasecmp(line, "transfer-encoding:", 18) == 0)
			chunked = strstr(line + 18, "chunked") != NULL;
	}
	if (line == NULL)
		return ret;
	if (chunked)
		return take_chunks(stream, answer);
	return length >= 0 ? take(stream, (size_t)length, answer) : take_rest(stream, answer);
}

int slu_http_call(const char *socket_path, const char *method, const char *target, const void *body, size_t bytes,
	struct slu_http_answer *answer, int *connected)
{
	struct stream stream = {0};
	int ret = reach(socket_path, &stream.fd);

	*answer = (struct slu_http_answer){0};
	*connected = ret == 0;
	if (ret != 0)
		return ret;
	ret = send_request(stream.fd, method, target, body, bytes);
	if (ret == 0)
		ret = read_answer(&stream, answer);
	close(stream.fd);
	free(stream.data);
	if (ret != 0) {
		free(answer->body);
		answer->body = NULL;
	}
	return ret;
}
