#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "l7/proxy/access_log.h"

#define GATHERED_BYTES 32768u
#define LINE_BYTES 8192u

struct slu_access_log {
	int fd;
	char *path, *format;
	struct event *flush;
	bool scheduled;
	size_t count;
	char bytes[GATHERED_BYTES + LINE_BYTES];
};

static void flush(struct slu_access_log *log)
{
	/* A full disk must not stop the service: what cannot be written is lost. */
	if (log->count > 0 && write(log->fd, log->bytes, log->count) < 0)
		log->count = 0;
	log->count = 0;
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct slu_access_log *log = arg;

	(void)fd;
	(void)what;
	log->scheduled = false;
	flush(log);
}

static int file_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

	return fd < 0 ? -errno : fd;
}

int slu_access_log_open(struct slu_access_log **place, struct event_base *base, const char *path, const char *format)
{
	struct slu_access_log *log = malloc(sizeof(*log));

	if (log == NULL)
		return -ENOMEM;
	log->count = 0;
	log->scheduled = false;
	log->fd = file_open(path);
	if (log->fd < 0) {
		int error = log->fd;

		free(log);
		return error;
	}
	log->path = strdup(path);
	log->format = format != NULL ? strdup(format) : NULL;
	log->flush = evtimer_new(base, on_time, log);
	if (log->path == NULL || log->flush == NULL)
		abort();
	*place = log;
	return 0;
}

void slu_access_log_reopen(struct slu_access_log *log)
{
	int fd = file_open(log->path);

	flush(log);
	if (fd < 0)
		return;
	close(log->fd);
	log->fd = fd;
}

void slu_access_log_close(struct slu_access_log *log)
{
	if (log == NULL)
		return;
	flush(log);
	event_free(log->flush);
	close(log->fd);
	free(log->path);
	free(log->format);
	free(log);
}

/* -- lines -- */

struct line {
	char *at, *end;
};

/* As much as has room; what could end the line or a JSON string is written as \xHH or \u00HH. */
static void put(struct line *line, const char *from, size_t bytes, bool json)
{
	for (size_t i = 0; i < bytes && line->end - line->at > 8; i++) {
		uint8_t c = (uint8_t)from[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			*line->at++ = (char)c;
		else
			line->at += sprintf(line->at, json ? "\\u%04x" : "\\x%02x", c);
	}
}

static void put_plain(struct line *line, const char *text)
{
	size_t bytes = strlen(text), room = (size_t)(line->end - line->at);

	bytes = bytes < room ? bytes : room;
	memcpy(line->at, text, bytes);
	line->at += bytes;
}

static void put_number(struct line *line, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	put_plain(line, text);
}

static const char *const names[] = {"time", "listener", "client", "method", "host", "path", "status", "bytes_in",
	"bytes_out", "time_ms", "server", "refusal", "broken"};
enum { TIME, LISTENER, CLIENT, METHOD, HOST, PATH, STATUS, BYTES_IN, BYTES_OUT, TIME_MS, SERVER, REFUSAL, BROKEN };
#define NAMES (sizeof(names) / sizeof(names[0]))

static bool is_text(unsigned name)
{
	return name != STATUS && name != BYTES_IN && name != BYTES_OUT && name != TIME_MS && name != BROKEN;
}

static void put_time(struct line *line)
{
	struct timespec now;
	struct tm t;
	char text[80];

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	gmtime_r(&now.tv_sec, &t);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
		t.tm_hour, t.tm_min, t.tm_sec, now.tv_nsec / 1000000);
	put_plain(line, text);
}

static void put_value(struct line *line, unsigned name, const struct slu_exchange *exchange, bool broken, bool json)
{
	const struct slu_message *request = &exchange->request;
	char text[32];

	switch (name) {
	case TIME:
		put_time(line);
		break;
	case LISTENER:
		put_plain(line, exchange->listener->name);
		break;
	case CLIENT:
		put(line, exchange->client.at, exchange->client.bytes, json);
		break;
	case METHOD:
		put(line, request->method_name.at, request->method_name.bytes, json);
		break;
	case HOST:
		put(line, request->host.at, request->host.bytes, json);
		break;
	case PATH:
		put(line, request->path.at, request->path.bytes, json);
		break;
	case STATUS:
		put_number(line, exchange->responding ? exchange->response.status : 0);
		break;
	case BYTES_IN:
		put_number(line, exchange->request_body_bytes);
		break;
	case BYTES_OUT:
		put_number(line, exchange->response_body_bytes);
		break;
	case TIME_MS:
		snprintf(text, sizeof(text), "%.3f", (double)(slu_timer_now_us() - exchange->started_us) / 1000);
		put_plain(line, text);
		break;
	case SERVER:
		put_plain(line, exchange->tries > 0 ? exchange->tried[exchange->tries - 1]->address.text : "");
		break;
	case REFUSAL:
		put_plain(line, exchange->refusal != 0 ? slu_refusal_name(exchange->refusal) : "");
		break;
	default:
		put_plain(line, broken ? "true" : "false");
		break;
	}
}

static void put_json(struct line *line, const struct slu_exchange *exchange, bool broken)
{
	put_plain(line, "{");
	for (unsigned i = 0; i < NAMES; i++) {
		put_plain(line, i > 0 ? ",\"" : "\"");
		put_plain(line, names[i]);
		put_plain(line, is_text(i) ? "\":\"" : "\":");
		put_value(line, i, exchange, broken, true);
		put_plain(line, is_text(i) ? "\"" : "");
	}
	put_plain(line, "}");
}

static void put_format(struct line *line, const char *format, const struct slu_exchange *exchange, bool broken)
{
	while (*format != '\0') {
		const char *close = *format == '{' ? strchr(format, '}') : NULL;
		unsigned name = NAMES;

		for (unsigned i = 0; close != NULL && i < NAMES; i++)
			if (strlen(names[i]) == (size_t)(close - format - 1) &&
				memcmp(names[i], format + 1, strlen(names[i])) == 0)
				name = i;
		if (name < NAMES) {
			put_value(line, name, exchange, broken, false);
			format = close + 1;
		} else {
			char one[2] = {*format++, '\0'};

			put_plain(line, one);
		}
	}
}

void slu_access_log_write(struct slu_access_log *log, const struct slu_exchange *exchange, bool broken)
{
	struct line line = {&log->bytes[log->count], &log->bytes[log->count + LINE_BYTES - 1]};
	struct timeval second = {.tv_sec = 1};

	if (log->format == NULL)
		put_json(&line, exchange, broken);
	else
		put_format(&line, log->format, exchange, broken);
	*line.at++ = '\n';
	log->count = (size_t)(line.at - log->bytes);
	if (log->count >= GATHERED_BYTES) {
		flush(log);
	} else if (!log->scheduled) {
		evtimer_add(log->flush, &second);
		log->scheduled = true;
	}
}
