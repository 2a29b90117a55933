#include "tests/lab/stamp/control.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/lab/line.h"
#include "tests/lab/stamp/client.h"
#include "tests/lab/stamp/judge.h"
#include "tests/lab/stamp/loop.h"
#include "tests/lab/stamp/report.h"

static struct stamp_watch control = {.fd = -1};
static uint32_t control_targets;

static void obey(char *line, FILE *out)
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

static void on_control(struct stamp_watch *watch, uint32_t events)
{
	(void)events;
	lab_line_serve(watch->fd, obey);
}

int stamp_control_open(const char *path, uint32_t target_count)
{
	control_targets = target_count;
	control.run = on_control;
	control.fd = lab_line_listen(path);
	return control.fd < 0 ? control.fd : stamp_loop_watch(&control, EPOLLIN);
}

void stamp_control_close(const char *path)
{
	stamp_loop_close(&control);
	unlink(path);
}
