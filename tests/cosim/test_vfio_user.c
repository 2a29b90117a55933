/*
 * sluice-nic from outside: messages typed by hand from the specification
 * (QEMU, docs/interop/vfio-user.rst), so that server and driver cannot share
 * one author's misreading. Every test is a connection of its own to one server
 * process, which must be alive at the end.
 *
 * Hex in the order of the wire, little-endian; spaces part the fields:
 * id command size flags error | payload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPLY_MS 5000
#define MAX_BYTES 4096
#define MEMORY_BYTES 0x10000

static char folder[] = "/tmp/sluice-test-XXXXXX";
static char socket_path[64], log_path[64];
static pid_t server;

/* ---- bytes ---- */

static size_t parse_hex(const char *text, uint8_t *to)
{
	size_t n = 0;
	unsigned int byte;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		assert_true(n < MAX_BYTES);
		to[n++] = (uint8_t)byte;
		text++;
	}
	return n;
}

static void send_bytes(int fd, const void *bytes, size_t len, const int *fds, size_t fd_count)
{
	union {
		char buf[CMSG_SPACE(32 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_count) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), len);
}

static void send_hex_fds(int fd, const char *hex, const int *fds, size_t fd_count)
{
	uint8_t bytes[MAX_BYTES];

	send_bytes(fd, bytes, parse_hex(hex, bytes), fds, fd_count);
}

static void send_hex(int fd, const char *hex)
{
	send_hex_fds(fd, hex, NULL, 0);
}

/* Receives exactly `len` bytes, or fewer if the server closes. `*passed` takes a file descriptor that comes along. */
static size_t receive(int fd, uint8_t *to, size_t len, int *passed)
{
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	size_t got = 0;

	while (got < len) {
		struct iovec iov = {to + got, len - got};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf)};
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, REPLY_MS) != 1)
			fail_msg("no reply within %d ms", REPLY_MS);
		n = recvmsg(fd, &msg, 0);
		if (n <= 0)
			return got;
		if (passed && msg.msg_controllen >= CMSG_LEN(sizeof(int)))
			memcpy(passed, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
		got += (size_t)n;
	}
	return got;
}

static void expect_hex_fd(int fd, const char *hex, int *passed)
{
	uint8_t want[MAX_BYTES], got[MAX_BYTES];
	size_t len = parse_hex(hex, want);

	assert_int_equal(receive(fd, got, len, passed), len);
	assert_memory_equal(got, want, len);
}

static void expect_hex(int fd, const char *hex)
{
	expect_hex_fd(fd, hex, NULL);
}

/* An error reply is a header only: id 7, type reply with the error bit, errno. */
static void expect_error(int fd, uint16_t command, int error)
{
	char hex[64];

	snprintf(hex, sizeof(hex), "0700 %02x%02x 10000000 21000000 %02x000000", command & 255, command >> 8, error);
	expect_hex(fd, hex);
}

static void expect_closed(int fd)
{
	uint8_t byte;

	assert_int_equal(receive(fd, &byte, 1, NULL), 0);
}

/* ---- connections ---- */

static int connect_server(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, socket_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Version 0.1, {"capabilities":{"max_msg_fds":16}} */
#define VERSION_16_FDS_REPLY                                                                                           \
	"0100 0100 38000000 01000000 00000000 0000 0100"                                                               \
	"7b226361706162696c6974696573223a7b226d61785f6d73675f666473223a31367d7d00"

static int connect_negotiated(void)
{
	int fd = connect_server();

	/* The same with 8. */
	send_hex(fd, "0100 0100 37000000 00000000 00000000 0000 0100"
		     "7b226361706162696c6974696573223a7b226d61785f6d73675f666473223a387d7d00");
	expect_hex(fd, VERSION_16_FDS_REPLY);
	return fd;
}

static int make_memory(size_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* ---- version ---- */

static void version__capabilities_proposed__reply_has_those_and_no_others(void **state)
{
	(void)state;
	close(connect_negotiated());
}

static void version__no_version_data__reply_has_no_capabilities(void **state)
{
	int fd = connect_server();

	(void)state;
	send_hex(fd, "0100 0100 14000000 00000000 00000000 0000 0000");
	/* {"capabilities":{}} */
	expect_hex(fd, "0100 0100 28000000 01000000 00000000 0000 0000 7b226361706162696c6974696573223a7b7d7d00");
	close(fd);
}

static void version__newer_minor__reply_has_the_servers_own(void **state)
{
	int fd = connect_server();

	(void)state;
	send_hex(fd, "0100 0100 14000000 00000000 00000000 0000 0900");
	expect_hex(fd, "0100 0100 28000000 01000000 00000000 0000 0100 7b226361706162696c6974696573223a7b7d7d00");
	close(fd);
}

struct bad_version {
	const char *sentence;
	const char *hex;
	int error;
};

static void version__not_acceptable__error_and_disconnect(void **state)
{
	static const struct bad_version rows[] = {
		{"major version 1", "0700 0100 14000000 00000000 00000000 0100 0000", EPROTONOSUPPORT},
		{"two bytes instead of four", "0700 0100 12000000 00000000 00000000 0000", EINVAL},
		{"JSON without its NUL", "0700 0100 16000000 00000000 00000000 0000 0000 7b7d", EINVAL},
		{"JSON cut short", "0700 0100 16000000 00000000 00000000 0000 0000 7b00", EINVAL},
		{"JSON that is an array", "0700 0100 17000000 00000000 00000000 0000 0000 5b5d00", EINVAL},
		{"capabilities that are a number: {\"capabilities\":1}",
			"0700 0100 27000000 00000000 00000000 0000 0000 7b226361706162696c6974696573223a317d00",
			EINVAL},
		{"a negative max_msg_fds",
			"0700 0100 38000000 00000000 00000000 0000 0000"
			"7b226361706162696c6974696573223a7b226d61785f6d73675f666473223a2d317d7d00",
			EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = connect_server();

		print_message("# %s\n", rows[i].sentence);
		send_hex(fd, rows[i].hex);
		expect_error(fd, 1, rows[i].error);
		expect_closed(fd);
		close(fd);
	}
}

static void version__a_second_time__error_and_connection_stays(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0700 0100 14000000 00000000 00000000 0000 0000");
	expect_error(fd, 1, EALREADY);
	send_hex(fd, "0700 0d00 10000000 00000000 00000000");
	expect_hex(fd, "0700 0d00 10000000 01000000 00000000");
	close(fd);
}

static void command__before_version__error_and_disconnect(void **state)
{
	int fd = connect_server();

	(void)state;
	send_hex(fd, "0700 0d00 10000000 00000000 00000000");
	expect_error(fd, 13, ENOTCONN);
	expect_closed(fd);
	close(fd);
}

/* ---- information ---- */

static void device_info__asked__pci_device_with_reset_nine_regions_five_irq_types(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0200 0400 20000000 00000000 00000000 10000000 00000000 00000000 00000000");
	expect_hex(fd, "0200 0400 20000000 01000000 00000000 10000000 03000000 09000000 05000000");
	close(fd);
}

static void region_info__each_region__size_and_flags(void **state)
{
	static const struct {
		const char *sentence, *hex;
	} rows[] = {
		{"BAR0: read, write, 64 KiB", "0200 0500 30000000 01000000 00000000 20000000 03000000 00000000 00000000"
					      "0000010000000000 0000000000000000"},
		{"BAR1: none", "0200 0500 30000000 01000000 00000000 20000000 00000000 01000000 00000000"
			       "0000000000000000 0000000000000000"},
		{"BAR2: read, write, mmap, 4 KiB",
			"0200 0500 30000000 01000000 00000000 20000000 07000000 02000000 00000000"
			"0010000000000000 0000000000000000"},
	};
	int fd = connect_negotiated();

	(void)state;
	for (int i = 0; i < 3; i++) {
		char ask[160];
		int page = -1;

		print_message("# %s\n", rows[i].sentence);
		snprintf(ask, sizeof(ask),
			"0200 0500 30000000 00000000 00000000 20000000 00000000 %02x000000 00000000 %s", i,
			"0000000000000000 0000000000000000");
		send_hex(fd, ask);
		expect_hex_fd(fd, rows[i].hex, &page);
		assert_int_equal(page >= 0, i == 2);
		if (page >= 0)
			close(page);
	}
	close(fd);
}

static void config_space__first_bytes__identify_the_card(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0200 0900 20000000 00000000 00000000 0000000000000000 07000000 04000000");
	expect_hex(fd, "0200 0900 24000000 01000000 00000000 0000000000000000 07000000 04000000 d0f1 ce51");
	close(fd);
}

static void config_space__ones_written_to_bar0__size_reads_back(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0200 0a00 24000000 00000000 00000000 1000000000000000 07000000 04000000 ffffffff");
	expect_hex(fd, "0200 0a00 20000000 01000000 00000000 1000000000000000 07000000 04000000");
	send_hex(fd, "0300 0900 20000000 00000000 00000000 1000000000000000 07000000 04000000");
	expect_hex(fd, "0300 0900 24000000 01000000 00000000 1000000000000000 07000000 04000000 0000ffff");
	close(fd);
}

static void bar0__magic_register__reads_sluc(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0200 0900 20000000 00000000 00000000 0000000000000000 00000000 04000000");
	expect_hex(fd, "0200 0900 24000000 01000000 00000000 0000000000000000 00000000 04000000 534c5543");
	close(fd);
}

/* ---- doorbells ---- */

static void doorbell_page__mapped__is_zero_for_each_new_host_and_shared(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		int fd = connect_negotiated();
		int page = -1;
		volatile uint32_t *words;

		send_hex(fd, "0200 0500 30000000 00000000 00000000 20000000 00000000 02000000 00000000"
			     "0000000000000000 0000000000000000");
		expect_hex_fd(fd,
			"0200 0500 30000000 01000000 00000000 20000000 07000000 02000000 00000000"
			"0010000000000000 0000000000000000",
			&page);
		words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
		assert_true(words != MAP_FAILED);
		assert_int_equal(words[2], 0);
		/* Written through a message, seen in the page; and the other way. */
		send_hex(fd, "0200 0a00 24000000 00000000 00000000 0800000000000000 02000000 04000000 05000000");
		expect_hex(fd, "0200 0a00 20000000 01000000 00000000 0800000000000000 02000000 04000000");
		assert_int_equal(words[2], 5);
		words[2] = 0x01020304;
		send_hex(fd, "0200 0900 20000000 00000000 00000000 0800000000000000 02000000 04000000");
		expect_hex(fd, "0200 0900 24000000 01000000 00000000 0800000000000000 02000000 04000000 04030201");
		/* Sealed: a host cannot cut the page away under the server. */
		assert_int_equal(ftruncate(page, 0), -1);
		munmap((void *)(uintptr_t)words, 4096);
		close(page);
		close(fd);
	}
}

static void doorbell_fds__asked__one_eventfd_for_the_page(void **state)
{
	int fd = connect_negotiated();
	int kick = -1;
	uint64_t one = 1;

	(void)state;
	send_hex(fd, "0200 0600 20000000 00000000 00000000 38000000 00000000 02000000 00000000");
	expect_hex_fd(fd,
		"0200 0600 48000000 01000000 00000000 38000000 00000000 02000000 01000000"
		"0000000000000000 0010000000000000 00000000 00000000 00000000 00000000 0000000000000000",
		&kick);
	assert_int_equal(write(kick, &one, sizeof(one)), sizeof(one));
	close(kick);
	/* argsz too small: only the head comes, saying what is needed. */
	kick = -1;
	send_hex(fd, "0200 0600 20000000 00000000 00000000 10000000 00000000 02000000 00000000");
	expect_hex_fd(fd, "0200 0600 20000000 01000000 00000000 38000000 00000000 02000000 01000000", &kick);
	assert_int_equal(kick, -1);
	close(fd);
}

static void need_kick__server_sleeps__is_set(void **state)
{
	int fd = connect_negotiated();
	int page = -1;
	volatile uint32_t *words;
	int tries = 0;

	(void)state;
	send_hex(fd, "0200 0500 30000000 00000000 00000000 20000000 00000000 02000000 00000000"
		     "0000000000000000 0000000000000000");
	expect_hex_fd(fd,
		"0200 0500 30000000 01000000 00000000 20000000 07000000 02000000 00000000"
		"0010000000000000 0000000000000000",
		&page);
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
	assert_true(words != MAP_FAILED);
	while (!words[0xFC0 / 4] && tries++ < 2000)
		usleep(1000);
	assert_int_equal(words[0xFC0 / 4], 1);
	/* It is the server's to write. */
	send_hex(fd, "0700 0a00 24000000 00000000 00000000 c00f000000000000 02000000 04000000 00000000");
	expect_error(fd, 10, EPERM);
	munmap((void *)(uintptr_t)words, 4096);
	close(page);
	close(fd);
}

/* ---- interrupts ---- */

static void irq_info__msix__five_eventfd_vectors(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0200 0700 20000000 00000000 00000000 10000000 00000000 02000000 00000000");
	expect_hex(fd, "0200 0700 20000000 01000000 00000000 10000000 01000000 02000000 05000000");
	send_hex(fd, "0200 0700 20000000 00000000 00000000 10000000 00000000 00000000 00000000");
	expect_hex(fd, "0200 0700 20000000 01000000 00000000 10000000 00000000 00000000 00000000");
	close(fd);
}

static void set_irqs__eventfds_given_and_triggered__each_is_written(void **state)
{
	int fd = connect_negotiated();
	int events[2] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
	uint64_t count;

	(void)state;
	/* DATA_EVENTFD | ACTION_TRIGGER, vectors 1 and 2 */
	send_hex_fds(
		fd, "0200 0800 24000000 00000000 00000000 14000000 24000000 02000000 01000000 02000000", events, 2);
	expect_hex(fd, "0200 0800 10000000 01000000 00000000");
	/* DATA_BOOL | ACTION_TRIGGER: vector 1 not, vector 2 yes */
	send_hex(fd, "0200 0800 26000000 00000000 00000000 16000000 22000000 02000000 01000000 02000000 00 01");
	expect_hex(fd, "0200 0800 10000000 01000000 00000000");
	assert_int_equal(read(events[0], &count, sizeof(count)), -1);
	assert_int_equal(read(events[1], &count, sizeof(count)), sizeof(count));
	/* DATA_EVENTFD without file descriptors takes vector 2's away; then a trigger of both */
	send_hex(fd, "0200 0800 24000000 00000000 00000000 14000000 24000000 02000000 02000000 01000000");
	expect_hex(fd, "0200 0800 10000000 01000000 00000000");
	send_hex(fd, "0200 0800 24000000 00000000 00000000 14000000 21000000 02000000 01000000 02000000");
	expect_hex(fd, "0200 0800 10000000 01000000 00000000");
	assert_int_equal(read(events[0], &count, sizeof(count)), sizeof(count));
	assert_int_equal(read(events[1], &count, sizeof(count)), -1);
	close(events[0]);
	close(events[1]);
	close(fd);
}

static void set_irqs__a_full_eventfd__does_not_block_the_server(void **state)
{
	int fd = connect_negotiated();
	int event = eventfd(0, 0);
	uint64_t full = UINT64_MAX - 1;

	(void)state;
	assert_int_equal(write(event, &full, sizeof(full)), sizeof(full));
	send_hex_fds(
		fd, "0200 0800 24000000 00000000 00000000 14000000 24000000 02000000 00000000 01000000", &event, 1);
	expect_hex(fd, "0200 0800 10000000 01000000 00000000");
	send_hex(fd, "0200 0800 24000000 00000000 00000000 14000000 21000000 02000000 00000000 01000000");
	expect_hex(fd, "0200 0800 10000000 01000000 00000000");
	close(event);
	close(fd);
}

static void set_irqs__a_file_that_is_no_eventfd__is_refused(void **state)
{
	int fd = connect_negotiated();
	int files[2] = {eventfd(0, 0), make_memory(4096)};

	(void)state;
	send_hex_fds(fd, "0700 0800 24000000 00000000 00000000 14000000 24000000 02000000 00000000 02000000", files, 2);
	expect_error(fd, 8, EINVAL);
	close(files[0]);
	close(files[1]);
	close(fd);
}

/* ---- memory ---- */

static void dma_map__page_of_a_file__mapped_unmapped_and_mapped_again(void **state)
{
	int fd = connect_negotiated();
	int memory = make_memory(MEMORY_BYTES);

	(void)state;
	for (int round = 0; round < 2; round++) {
		/* readable and writeable, file offset 0x1000, address 0x7f0000000000, size 0x2000 */
		send_hex_fds(fd,
			"0200 0200 30000000 00000000 00000000 20000000 03000000"
			"0010000000000000 000000007f000000 0020000000000000",
			&memory, 1);
		expect_hex(fd, "0200 0200 10000000 01000000 00000000");
		/* The reply repeats the entry. */
		send_hex(fd, "0200 0300 28000000 00000000 00000000 18000000 00000000"
			     "000000007f000000 0020000000000000");
		expect_hex(fd, "0200 0300 28000000 01000000 00000000 18000000 00000000"
			       "000000007f000000 0020000000000000");
	}
	close(memory);
	close(fd);
}

struct bad_map {
	const char *sentence;
	const char *hex;
	int fds;
	int error;
};

static void dma_map__not_acceptable__is_refused_with_its_reason(void **state)
{
	static const struct bad_map rows[] = {
		{"the same range again",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000010000000000 0040000000000000",
			1, EEXIST},
		{"a range that begins inside",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0030010000000000 0040000000000000",
			1, EEXIST},
		{"a range that ends inside",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"00f0000000000000 0020000000000000",
			1, EEXIST},
		{"a range around it",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"00f0000000000000 0080000000000000",
			1, EEXIST},
		{"no file descriptor",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000020000000000 0010000000000000",
			0, ENOTSUP},
		{"two file descriptors",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000020000000000 0010000000000000",
			2, EINVAL},
		{"size 0",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000020000000000 0000000000000000",
			1, EINVAL},
		{"past the end of the file",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000010000000000"
			"0000020000000000 0010000000000000",
			1, EINVAL},
		{"offset + size beyond 2^64",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 00f0ffffffffffff"
			"0000020000000000 0020000000000000",
			1, EINVAL},
		{"address + size beyond 2^64",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"00f0ffffffffffff 0020000000000000",
			1, EINVAL},
		{"an address inside a page",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0100020000000000 0010000000000000",
			1, EINVAL},
		{"half a page",
			"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000020000000000 0008000000000000",
			1, EINVAL},
		{"neither readable nor writeable",
			"0700 0200 30000000 00000000 00000000 20000000 00000000 0000000000000000"
			"0000020000000000 0010000000000000",
			1, EINVAL},
		{"unknown flags",
			"0700 0200 30000000 00000000 00000000 20000000 07000000 0000000000000000"
			"0000020000000000 0010000000000000",
			1, EINVAL},
		{"argsz smaller than the structure",
			"0700 0200 30000000 00000000 00000000 1f000000 03000000 0000000000000000"
			"0000020000000000 0010000000000000",
			1, EINVAL},
		{"a message cut short",
			"0700 0200 28000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000020000000000",
			1, EINVAL},
		{"a message too long",
			"0700 0200 34000000 00000000 00000000 20000000 03000000 0000000000000000"
			"0000020000000000 0010000000000000 00000000",
			1, EINVAL},
	};
	int fd = connect_negotiated();
	int memory = make_memory(MEMORY_BYTES);

	(void)state;
	send_hex_fds(fd,
		"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
		"0000010000000000 0040000000000000",
		&memory, 1);
	expect_hex(fd, "0700 0200 10000000 01000000 00000000");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].sentence);
		send_hex_fds(fd, rows[i].hex, (int[]){memory, memory}, (size_t)rows[i].fds);
		expect_error(fd, 2, rows[i].error);
	}
	close(memory);
	close(fd);
}

static void dma_unmap__not_exactly_a_mapping__is_refused(void **state)
{
	static const struct bad_map rows[] = {
		{"nothing is mapped there",
			"0700 0300 28000000 00000000 00000000 18000000 00000000 0000050000000000 0040000000000000", 0,
			ENOENT},
		{"a part of the mapping",
			"0700 0300 28000000 00000000 00000000 18000000 00000000 0000010000000000 0020000000000000", 0,
			ENOENT},
		{"from its middle on",
			"0700 0300 28000000 00000000 00000000 18000000 00000000 0020010000000000 0020000000000000", 0,
			ENOENT},
		{"more than it",
			"0700 0300 28000000 00000000 00000000 18000000 00000000 0000010000000000 0080000000000000", 0,
			ENOENT},
		{"flags, which this version does not have",
			"0700 0300 28000000 00000000 00000000 18000000 01000000 0000010000000000 0040000000000000", 0,
			EINVAL},
	};
	int fd = connect_negotiated();
	int memory = make_memory(MEMORY_BYTES);

	(void)state;
	send_hex_fds(fd,
		"0700 0200 30000000 00000000 00000000 20000000 03000000 0000000000000000"
		"0000010000000000 0040000000000000",
		&memory, 1);
	expect_hex(fd, "0700 0200 10000000 01000000 00000000");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].sentence);
		send_hex(fd, rows[i].hex);
		expect_error(fd, 3, rows[i].error);
	}
	close(memory);
	close(fd);
}

/* ---- nonsense ---- */

static void command__malformed__is_refused_and_the_connection_stays(void **state)
{
	static const struct {
		const char *sentence, *hex;
		uint16_t command;
		int error;
	} rows[] = {
		{"command 0", "0700 0000 10000000 00000000 00000000", 0, ENOTSUP},
		{"DMA_READ, which is the server's", "0700 0b00 10000000 00000000 00000000", 11, ENOTSUP},
		{"command 14, which is none", "0700 0e00 10000000 00000000 00000000", 14, ENOTSUP},
		{"command 0xffff", "0700 ffff 10000000 00000000 00000000", 0xffff, ENOTSUP},
		{"DEVICE_GET_INFO without payload", "0700 0400 10000000 00000000 00000000", 4, EINVAL},
		{"DEVICE_GET_INFO with argsz 8",
			"0700 0400 20000000 00000000 00000000 08000000 00000000 00000000 00000000", 4, EINVAL},
		{"REGION_INFO of region 9",
			"0700 0500 30000000 00000000 00000000 20000000 00000000 09000000 00000000"
			"0000000000000000 0000000000000000",
			5, EINVAL},
		{"REGION_INFO of region 0xffffffff",
			"0700 0500 30000000 00000000 00000000 20000000 00000000 ffffffff 00000000"
			"0000000000000000 0000000000000000",
			5, EINVAL},
		{"REGION_IO_FDS of BAR0", "0700 0600 20000000 00000000 00000000 38000000 00000000 00000000 00000000", 6,
			EINVAL},
		{"IRQ_INFO of index 5", "0700 0700 20000000 00000000 00000000 10000000 00000000 05000000 00000000", 7,
			EINVAL},
		{"SET_IRQS of INTx",
			"0700 0800 24000000 00000000 00000000 14000000 21000000 00000000 00000000 01000000", 8, EINVAL},
		{"SET_IRQS of six vectors",
			"0700 0800 24000000 00000000 00000000 14000000 21000000 02000000 00000000 06000000", 8, EINVAL},
		{"SET_IRQS with start + count beyond 2^32",
			"0700 0800 24000000 00000000 00000000 14000000 21000000 02000000 02000000 ffffffff", 8, EINVAL},
		{"SET_IRQS with two kinds of data",
			"0700 0800 24000000 00000000 00000000 14000000 23000000 02000000 00000000 01000000", 8, EINVAL},
		{"SET_IRQS that masks",
			"0700 0800 24000000 00000000 00000000 14000000 09000000 02000000 00000000 01000000", 8, EINVAL},
		{"SET_IRQS with fewer booleans than vectors",
			"0700 0800 25000000 00000000 00000000 15000000 22000000 02000000 00000000 02000000 01", 8,
			EINVAL},
		{"REGION_READ past BAR0's end",
			"0700 0900 20000000 00000000 00000000 fcff000000000000 00000000 08000000", 9, EINVAL},
		{"REGION_READ with offset + count beyond 2^64",
			"0700 0900 20000000 00000000 00000000 fcffffffffffffff 00000000 08000000", 9, EINVAL},
		{"REGION_READ of 4 GiB", "0700 0900 20000000 00000000 00000000 0000000000000000 00000000 ffffffff", 9,
			EINVAL},
		{"REGION_READ of nothing", "0700 0900 20000000 00000000 00000000 0000000000000000 00000000 00000000", 9,
			EINVAL},
		{"REGION_READ of half a register",
			"0700 0900 20000000 00000000 00000000 0000000000000000 00000000 02000000", 9, EINVAL},
		{"REGION_READ between registers",
			"0700 0900 20000000 00000000 00000000 0200000000000000 00000000 04000000", 9, EINVAL},
		{"REGION_READ of a region without bytes",
			"0700 0900 20000000 00000000 00000000 0000000000000000 06000000 04000000", 9, EINVAL},
		{"REGION_READ past the configuration space",
			"0700 0900 20000000 00000000 00000000 fe00000000000000 07000000 04000000", 9, EINVAL},
		{"REGION_WRITE whose data is shorter than its count",
			"0700 0a00 24000000 00000000 00000000 0000000000000000 02000000 08000000 00000000", 10, EINVAL},
		{"REGION_WRITE whose data is longer than its count",
			"0700 0a00 28000000 00000000 00000000 0000000000000000 02000000 04000000 0000000000000000", 10,
			EINVAL},
		{"REGION_WRITE past the doorbell page",
			"0700 0a00 24000000 00000000 00000000 0010000000000000 02000000 04000000 00000000", 10, EINVAL},
		{"REGION_WRITE of 12 bytes in all", "0700 0a00 1c000000 00000000 00000000 0000000000000000 02000000",
			10, EINVAL},
		{"DEVICE_RESET with a payload", "0700 0d00 14000000 00000000 00000000 00000000", 13, EINVAL},
	};
	int fd = connect_negotiated();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].sentence);
		send_hex(fd, rows[i].hex);
		expect_error(fd, rows[i].command, rows[i].error);
	}
	close(fd);
}

static void header__that_no_message_can_have__disconnects(void **state)
{
	static const struct {
		const char *sentence, *hex;
	} rows[] = {
		{"size 0", "0700 0d00 00000000 00000000 00000000"},
		{"size 15", "0700 0d00 0f000000 00000000 00000000"},
		{"size 4 GiB", "0700 0d00 ffffffff 00000000 00000000"},
		{"one byte more than the longest message", "0700 0a00 51001000 00000000 00000000"},
		{"a reply to nothing", "0700 0d00 10000000 01000000 00000000"},
		{"type 2", "0700 0d00 10000000 02000000 00000000"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = connect_negotiated();

		print_message("# %s\n", rows[i].sentence);
		send_hex(fd, rows[i].hex);
		expect_closed(fd);
		close(fd);
	}
}

static void fds__more_than_any_message_takes__disconnects(void **state)
{
	int fd = connect_negotiated();
	int memory = make_memory(4096);
	int fds[17];

	(void)state;
	for (int i = 0; i < 17; i++)
		fds[i] = memory;
	send_hex_fds(fd, "0700 0d00 10000000 00000000 00000000", fds, 17);
	expect_closed(fd);
	close(memory);
	close(fd);
}

static void fds__more_than_agreed__are_refused(void **state)
{
	int fd = connect_server();
	int events[2] = {eventfd(0, 0), eventfd(0, 0)};

	(void)state;
	/* No max_msg_fds proposed: one a message. */
	send_hex(fd, "0100 0100 14000000 00000000 00000000 0000 0000");
	expect_hex(fd, "0100 0100 28000000 01000000 00000000 0000 0000 7b226361706162696c6974696573223a7b7d7d00");
	send_hex_fds(
		fd, "0700 0800 24000000 00000000 00000000 14000000 24000000 02000000 00000000 02000000", events, 2);
	expect_error(fd, 8, EMSGSIZE);
	close(events[0]);
	close(events[1]);
	close(fd);
}

static void message__byte_by_byte__is_understood(void **state)
{
	uint8_t bytes[MAX_BYTES];
	size_t len = parse_hex("0200 0900 20000000 00000000 00000000 0000000000000000 07000000 04000000", bytes);
	int fd = connect_negotiated();

	(void)state;
	for (size_t i = 0; i < len; i++) {
		send_bytes(fd, bytes + i, 1, NULL, 0);
		usleep(300);
	}
	expect_hex(fd, "0200 0900 24000000 01000000 00000000 0000000000000000 07000000 04000000 d0f1 ce51");
	close(fd);
}

static void messages__pipelined__are_answered_in_order(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	send_hex(fd, "0a00 0d00 10000000 00000000 00000000"
		     "0b00 0900 20000000 00000000 00000000 0000000000000000 07000000 02000000"
		     "0c00 0d00 10000000 00000000 00000000");
	expect_hex(fd, "0a00 0d00 10000000 01000000 00000000"
		       "0b00 0900 22000000 01000000 00000000 0000000000000000 07000000 02000000 d0f1"
		       "0c00 0d00 10000000 01000000 00000000");
	close(fd);
}

static void no_reply__set__command_is_executed_in_silence(void **state)
{
	int fd = connect_negotiated();

	(void)state;
	/* A doorbell write and a refused command, both with No_reply; then a read that must see the write. */
	send_hex(fd, "0200 0a00 24000000 10000000 00000000 1800000000000000 02000000 04000000 2a000000"
		     "0300 0e00 10000000 10000000 00000000"
		     "0400 0900 20000000 00000000 00000000 1800000000000000 02000000 04000000");
	expect_hex(fd, "0400 0900 24000000 01000000 00000000 1800000000000000 02000000 04000000 2a000000");
	close(fd);
}

static void host__gone_in_the_middle_of_a_message__next_host_is_served(void **state)
{
	int fd = connect_negotiated();
	int memory = make_memory(MEMORY_BYTES);

	(void)state;
	send_hex_fds(fd, "0700 0200 30000000 00000000 00000000 20000000", &memory, 1);
	close(fd);
	fd = connect_negotiated();
	close(memory);
	close(fd);
}

static void host__a_second_one__waits_until_the_first_has_gone(void **state)
{
	int first = connect_negotiated();
	int second = connect_server();
	struct pollfd p = {.fd = second, .events = POLLIN};

	(void)state;
	send_hex(second, "0100 0100 14000000 00000000 00000000 0000 0000");
	assert_int_equal(poll(&p, 1, 200), 0);
	send_hex(first, "0200 0d00 10000000 00000000 00000000");
	expect_hex(first, "0200 0d00 10000000 01000000 00000000");
	close(first);
	expect_hex(second, "0100 0100 28000000 01000000 00000000 0000 0000 7b226361706162696c6974696573223a7b7d7d00");
	close(second);
}

/* Every byte stream of a simple generator: the server may answer or hang up, but lives. */
static void stream__random_bytes__server_lives(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		uint8_t bytes[128];
		int fd = round % 2 ? connect_negotiated() : connect_server();
		size_t len = 1 + (size_t)rand_r(&seed) % sizeof(bytes);

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(rand_r(&seed) >> 8);
		/* Half of them with a plausible header. */
		if (round % 4 < 2 && len >= 16) {
			uint8_t head[16] = {7, 0, (uint8_t)(rand_r(&seed) % 20), 0, (uint8_t)len};

			memcpy(bytes, head, sizeof(head));
		}
		(void)!send(fd, bytes, len, MSG_NOSIGNAL);
		close(fd);
	}
	close(connect_negotiated());
}

/* ---- the server process ---- */

static int start_server(void **state)
{
	int out[2];
	char line[16] = {0}, program[4096];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 64);

	(void)state;
	if (n < 0 || !mkdtemp(folder) || pipe(out))
		return -1;
	/* This is build/tests/cosim/test_vfio_user. */
	program[n] = 0;
	strcpy(strrchr(program, '/'), "/../../bin/sluice-nic");
	snprintf(socket_path, sizeof(socket_path), "%s/nic.sock", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	server = fork();
	if (server == 0) {
		int log = open(log_path, O_CREAT | O_WRONLY | O_APPEND, 0600);

		dup2(out[1], 1);
		dup2(log, 2);
		execl(program, "sluice-nic", "--socket", socket_path, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	return read(out[0], line, sizeof(line) - 1) > 0 && !strcmp(line, "ready\n") ? 0 : -1;
}

static int log_has(const char *text)
{
	char log[1 << 16] = {0};
	int fd = open(log_path, O_RDONLY);
	ssize_t n = pread(fd, log, sizeof(log) - 1, 0);
	off_t end = lseek(fd, 0, SEEK_END);

	/* The statistics stand at its end. */
	if (end > (off_t)sizeof(log) - 1)
		n = pread(fd, log, sizeof(log) - 1, end - (off_t)sizeof(log) + 1);
	close(fd);
	return n > 0 && strstr(log, text);
}

static void server__after_all_this__lives_sleeps_and_has_counted(void **state)
{
	char stat_path[64], stat[64] = {0};
	unsigned long long before, after;
	int fd;

	(void)state;
	assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
	kill(server, SIGUSR1);
	for (int i = 0; i < 100 && !log_has("\nsleeps "); i++)
		usleep(20000);
	assert_true(log_has("\nnonsense "));
	assert_false(log_has("\nnonsense 0\n"));
	assert_true(log_has("\ndma_maps 0\n"));
	assert_true(log_has("\nprotocol_errors 0\n"));
	/* CPU time of half an idle second, in nanoseconds. */
	snprintf(stat_path, sizeof(stat_path), "/proc/%d/schedstat", server);
	fd = open(stat_path, O_RDONLY);
	assert_true(pread(fd, stat, sizeof(stat) - 1, 0) > 0);
	before = strtoull(stat, NULL, 10);
	usleep(500000);
	assert_true(pread(fd, stat, sizeof(stat) - 1, 0) > 0);
	after = strtoull(stat, NULL, 10);
	close(fd);
	assert_in_range(after - before, 0, 5000000);
	kill(server, SIGTERM);
	assert_int_equal(waitpid(server, &fd, 0), server);
	assert_true(WIFEXITED(fd) && WEXITSTATUS(fd) == 0);
	server = 0;
	assert_int_equal(access(socket_path, F_OK), -1);
}

static int stop_server(void **state)
{
	(void)state;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	unlink(socket_path);
	unlink(log_path);
	rmdir(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version__capabilities_proposed__reply_has_those_and_no_others),
		cmocka_unit_test(version__no_version_data__reply_has_no_capabilities),
		cmocka_unit_test(version__newer_minor__reply_has_the_servers_own),
		cmocka_unit_test(version__not_acceptable__error_and_disconnect),
		cmocka_unit_test(version__a_second_time__error_and_connection_stays),
		cmocka_unit_test(command__before_version__error_and_disconnect),
		cmocka_unit_test(device_info__asked__pci_device_with_reset_nine_regions_five_irq_types),
		cmocka_unit_test(region_info__each_region__size_and_flags),
		cmocka_unit_test(config_space__first_bytes__identify_the_card),
		cmocka_unit_test(config_space__ones_written_to_bar0__size_reads_back),
		cmocka_unit_test(bar0__magic_register__reads_sluc),
		cmocka_unit_test(doorbell_page__mapped__is_zero_for_each_new_host_and_shared),
		cmocka_unit_test(doorbell_fds__asked__one_eventfd_for_the_page),
		cmocka_unit_test(need_kick__server_sleeps__is_set),
		cmocka_unit_test(irq_info__msix__five_eventfd_vectors),
		cmocka_unit_test(set_irqs__eventfds_given_and_triggered__each_is_written),
		cmocka_unit_test(set_irqs__a_full_eventfd__does_not_block_the_server),
		cmocka_unit_test(set_irqs__a_file_that_is_no_eventfd__is_refused),
		cmocka_unit_test(dma_map__page_of_a_file__mapped_unmapped_and_mapped_again),
		cmocka_unit_test(dma_map__not_acceptable__is_refused_with_its_reason),
		cmocka_unit_test(dma_unmap__not_exactly_a_mapping__is_refused),
		cmocka_unit_test(command__malformed__is_refused_and_the_connection_stays),
		cmocka_unit_test(header__that_no_message_can_have__disconnects),
		cmocka_unit_test(fds__more_than_any_message_takes__disconnects),
		cmocka_unit_test(fds__more_than_agreed__are_refused),
		cmocka_unit_test(message__byte_by_byte__is_understood),
		cmocka_unit_test(messages__pipelined__are_answered_in_order),
		cmocka_unit_test(no_reply__set__command_is_executed_in_silence),
		cmocka_unit_test(host__gone_in_the_middle_of_a_message__next_host_is_served),
		cmocka_unit_test(host__a_second_one__waits_until_the_first_has_gone),
		cmocka_unit_test(stream__random_bytes__server_lives),
		cmocka_unit_test(server__after_all_this__lives_sleeps_and_has_counted),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
