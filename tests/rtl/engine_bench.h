/*
 * Drives slu_flow_engine: wires, record memory that answers late and out of order, table port, statistics sink, host
 * streams. Judges every frame that goes in with the model and every frame that comes out against the judgement.
 */
#ifndef SLU_TESTS_RTL_ENGINE_BENCH_H
#define SLU_TESTS_RTL_ENGINE_BENCH_H

#include <deque>
#include <memory>

#include "Vslu_flow_engine.h"
#include "flow_model.h"

class EngineBench
{
      public:
	static const unsigned PORTS = 2, BUCKET_BITS = 8, SLOTS = 8u << BUCKET_BITS;
	static const unsigned META_BITS = 496;

	explicit EngineBench(uint64_t seed);
	~EngineBench();

	/* Behaviour of the surroundings, percent of clocks. */
	unsigned rx_gap = 0, tx_stall = 0, hrx_stall = 0, fst_stall = 0, ar_stall = 0;
	unsigned latency_min = 5, latency_max = 5;
	bool record_errors = false; /* answers of the record memory are errors */

	void clock();
	void run(unsigned clocks);
	/* Runs until everything that went in came out; false if it takes more than `limit` clocks. */
	bool drain(unsigned limit = 200000);

	/* A frame for the wire; judged now if `judge`. */
	void send(unsigned port, const bench::Bytes &frame, bool wire_error = false, bool judge = true);
	/* A frame from the host interface. */
	void host_send(unsigned port, const bench::Bytes &frame);

	/* One operation of the table port, from request to done. */
	void table(unsigned op, uint32_t slot = 0, uint32_t tag = 0, const void *next_hop = nullptr);
	/* The same without waiting. */
	void table_start(unsigned op, uint32_t slot = 0, uint32_t tag = 0, const void *next_hop = nullptr);
	bool table_busy() const
	{
		return table_busy_;
	}
	bool table_error() const
	{
		return table_error_;
	}

	/* Flow table as a driver keeps it. */
	bool add(const model::Flow &flow);
	bool move(const std::string &key);   /* make before break; false without a free slot */
	void remove(const std::string &key); /* clear, fence, scribble over the record */
	void next_hop(uint16_t index, const struct slu_nic_next_hop &nh);
	uint64_t statistic(unsigned port, unsigned index);
	uint32_t slot_of(const std::string &key) const
	{
		return slots_.at(key);
	}

	std::unique_ptr<Vslu_flow_engine> top;
	model::Engine model;
	bench::Random random;
	uint64_t now = 0;
	uint32_t hash_key[14];
	std::vector<uint8_t> memory; /* records */
	uint8_t table_data[128];

	/* What happened. */
	std::string error; /* first contradiction; empty: none */
	uint64_t forwarded = 0, to_host = 0, dropped = 0, updates = 0, host_sent = 0;
	uint64_t first_rx = 0, last_tx = 0, last_host = 0;
	uint64_t hosts_lost = 0; /* frames for the host that never came, where that is allowed */
	bool host_may_drop = false, store_may_drop = false;
	uint64_t reasons[32] = {};
	uint64_t max_in_flight = 0;
	uint64_t pending() const;
	bool quiet_sink = false; /* forwarded frames are counted, not compared (for measuring) */

      private:
	struct Read {
		uint64_t due;
		uint32_t address, id, beats;
	};
	struct Update {
		uint32_t flow_id;
		uint16_t bytes;
		bool count;
		bool operator<(const Update &o) const
		{
			return flow_id != o.flow_id ? flow_id < o.flow_id
			       : bytes != o.bytes   ? bytes < o.bytes
						    : count < o.count;
		}
	};

	void fail(const std::string &what);
	void drive_rx(unsigned port);
	void drive_record_memory();
	void take_tx(unsigned port);
	void take_host(unsigned port);
	void drive_htx(unsigned port);
	bool find_slot(const std::string &key, uint32_t *slot, uint32_t *tag);
	void match_tx(unsigned port, const bench::Bytes &frame);
	void match_host(unsigned port, const bench::Bytes &frame, const uint8_t *meta);

	struct Sent {
		bench::Bytes frame;
		bool error;
	};
	std::deque<Sent> rx_[PORTS];
	size_t rx_at_[PORTS] = {};
	std::deque<bench::Bytes> htx_[PORTS];
	size_t htx_at_[PORTS] = {};
	std::deque<model::Verdict> expect_host_[PORTS];
	std::deque<bench::Bytes> expect_tx_[PORTS][PORTS + 1]; /* egress, source; the last is the host */
	std::map<Update, int> expect_updates_;
	uint64_t expected_updates_ = 0;
	bench::Bytes tx_[PORTS], hrx_[PORTS];
	std::vector<Read> reads_;
	int reading_ = -1;
	uint32_t read_beat_ = 0;
	bool table_busy_ = false, table_error_ = false, table_taken_ = false;
	std::map<std::string, uint32_t> slots_;
	std::map<uint32_t, std::string> owner_;
	uint8_t generation_ = 1;
};

#endif
