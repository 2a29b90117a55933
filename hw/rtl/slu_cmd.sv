// Command processor: fetches commands from the host's ring, carries them out in order, writes completions.
//
// Units of 64 bytes are prefetched. A command is checked first (opcode, number of units, every index against its table, host
// address 64-byte aligned where one is used); a bad one completes with its status and changes nothing; its units, as many as
// it says and at least one, are skipped. Data for the host is written and answered before the completion.
// A failed fetch raises fault_o: the ring is switched off by its owner.
// hold_i (a reset is coming) or the ring switched off: the command at work ends early, without completion.
// Reset: host domain, only while busy_o is 0.
module slu_cmd #(
  parameter int unsigned BucketBits  = 17,
  parameter int unsigned FlowIdBits  = 20,
  parameter int unsigned NextHopBits = 12
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic          hold_i,
  input  logic          dma_enable_i,

  // slu_axil_regs
  input  logic          enable_i,
  input  logic          restart_i,
  input  logic [63:0]   ring_i,
  input  logic [4:0]    ring_log2_i,
  input  logic [63:0]   cpl_i,
  input  logic [4:0]    cpl_log2_i,
  input  logic          db_valid_i,
  input  logic [31:0]   db_value_i,
  output logic          db_bad_o,
  output logic          fault_o,
  output logic [31:0]   head_o,     // units consumed
  output logic [31:0]   written_o,  // completions in host memory
  output logic          failed_o,   // pulse: a command ended with a status other than OK
  output logic          nop_o,      // pulse: a NOP was served
  output logic          executing_o,
  output logic          flow_clear_o,  // pulse: registers of the flow domain are to be reset
  output logic          flow_busy_o,   // FLOW_RESET runs

  // slu_dma: unit reads; data and completion writes
  output logic          rd_valid_o,
  input  logic          rd_ready_i,
  output logic [63:0]   rd_addr_o,
  output logic [15:0]   rd_bytes_o,
  input  logic          rsp_valid_i,
  input  logic [511:0]  rsp_data_i,
  input  logic          rsp_err_i,
  input  logic          rsp_last_i,
  output logic          wr_valid_o,
  input  logic          wr_ready_i,
  output logic [63:0]   wr_addr_o,
  output logic [15:0]   wr_bytes_o,
  output logic          wd_valid_o,
  input  logic          wd_ready_i,
  output logic [511:0]  wd_data_o,
  input  logic          done_valid_i,
  input  logic          done_err_i,

  // slu_flow_engine: table port
  output logic          tbl_valid_o,
  input  logic          tbl_ready_i,
  output logic [2:0]    tbl_op_o,
  output logic [31:0]   tbl_slot_o,
  output logic [16:0]   tbl_tag_o,
  output logic [255:0]  tbl_nh_o,
  input  logic          tbl_done_i,
  input  logic          tbl_err_i,
  input  logic [1023:0] tbl_rdata_i,

  // slu_flow_stats
  output logic          op_valid_o,
  input  logic          op_ready_i,
  output logic          op_clear_o,
  output logic [31:0]   op_flow_id_o,
  output logic [3:0]    op_tag_o,
  input  logic          res_valid_i,
  input  logic [3:0]    res_tag_i,
  input  logic          res_err_i,
  input  logic [127:0]  res_data_i,

  // Record memory, writes
  output logic          m_rec_awvalid_o,
  input  logic          m_rec_awready_i,
  output logic [31:0]   m_rec_awaddr_o,
  output logic [7:0]    m_rec_awlen_o,
  output logic          m_rec_wvalid_o,
  input  logic          m_rec_wready_i,
  output logic [511:0]  m_rec_wdata_o,
  output logic          m_rec_wlast_o,
  input  logic          m_rec_bvalid_i,
  output logic          m_rec_bready_o,
  input  logic [1:0]    m_rec_bresp_i,
  output logic          rec_error_o,  // pulse

  output logic          busy_o,
  output logic          idle_o
);
  localparam int unsigned SlotBits = BucketBits + 3;
  localparam int unsigned Units    = 16;  // prefetched
  localparam int unsigned Burst    = 8;   // units a request

  // -- prefetch --
  logic [511:0] units [Units];
  logic [31:0]  tail_q, fetch_q, head_q;
  logic [31:0]  db_ahead, waiting, space, to_end, amount;
  logic [3:0]   fill_q;
  logic         fetch_err_q, fetch_stale_q;
  logic         more;  // units to fetch
  typedef enum logic [1:0] {FetchIdle, FetchSize, FetchRequest, FetchWait} fetch_state_e;
  fetch_state_e fetch_state_q;

  assign db_ahead = db_value_i - head_q;
  assign db_bad_o = !enable_i || db_ahead > (32'd1 << ring_log2_i);
  assign more     = enable_i && dma_enable_i && !hold_i && tail_q != fetch_q && fetch_q - head_q != 32'(Units);
  assign waiting  = tail_q - fetch_q;
  assign space    = 32'(Units) - (fetch_q - head_q);
  assign to_end   = (32'd1 << ring_log2_i) - (fetch_q & ((32'd1 << ring_log2_i) - 32'd1));
  always_comb begin
    amount = 32'(Burst);
    if (waiting < amount) amount = waiting;
    if (space < amount) amount = space;
    if (to_end < amount) amount = to_end;
  end
  assign rd_valid_o = fetch_state_q == FetchRequest;

  logic take;  // the unit at head_q is consumed
  always_ff @(posedge clk_i) begin
    fault_o <= 1'b0;
    if (!enable_i) fetch_stale_q <= 1'b1;
    unique case (fetch_state_q)
      FetchIdle: begin
        fetch_stale_q <= 1'b0;
        fetch_err_q   <= 1'b0;
        if (more) fetch_state_q <= FetchSize;
      end
      FetchSize: begin
        rd_addr_o     <= ring_i + {32'd0, (fetch_q & ((32'd1 << ring_log2_i) - 32'd1)) << 6};
        rd_bytes_o    <= 16'(amount << 6);
        fill_q        <= fetch_q[3:0];
        fetch_state_q <= more ? FetchRequest : FetchIdle;
      end
      FetchRequest: if (rd_ready_i) fetch_state_q <= FetchWait;
      default:
      if (rsp_valid_i) begin
        units[fill_q] <= rsp_data_i;
        fill_q        <= fill_q + 4'd1;
        fetch_err_q   <= fetch_err_q | rsp_err_i;
        if (rsp_last_i) begin
          fetch_state_q <= FetchIdle;
          if (enable_i && !fetch_stale_q) begin
            if (fetch_err_q || rsp_err_i) fault_o <= 1'b1;
            else fetch_q <= fetch_q + 32'(rd_bytes_o[15:6]);
          end
        end
      end
    endcase
    if (db_valid_i && !db_bad_o) tail_q <= db_value_i;
    if (take) head_q <= head_q + 32'd1;
    if (!rst_ni || restart_i) begin
      tail_q  <= '0;
      fetch_q <= '0;
      head_q  <= '0;
    end
    if (!rst_ni) fetch_state_q <= FetchIdle;
  end
  assign head_o = head_q;

  // -- execution --
  typedef enum logic [4:0] {
    Idle, Load, Decode, Skip, Record0, Record1, Record2, RecAddr, RecData, RecResponse,
    Table, TableWait, TableDone, Line, LineData, StatsAsk, StatsWait, StatsLine, StatsData, ClearAsk,
    Drain, Finish, CplRequest, CplData
  } state_e;
  state_e                 state_q;
  slu_regs_pkg::command_t cmd_q;
  logic [511:0]           unit_q;
  logic [7:0]             status_q;
  logic [7:0]             skip_q;    // units still to pass over
  logic [1023:0]          buf_q;     // record, or what is on its way to the host
  logic                   beat_q;
  logic                   got_unit, stop;
  logic [31:0]            at_q;      // item at work
  logic [31:0]            left_q;    // items left
  logic                   half_q;    // of the line that collects 32-byte items
  logic [63:0]            host_q;    // host address of the next line
  logic [31:0]            dst_q;     // slot a record goes to
  logic                   two_q;     // record of 128 bytes

  assign got_unit = head_q != fetch_q;
  assign stop     = hold_i || !enable_i;
  assign take     = got_unit && !stop && (state_q == Load || (state_q == Skip && skip_q != '0) || state_q == Record0 || state_q == Record1);

  // What the opcode asks for.
  logic known, units_ok, range_ok, has_host;
  logic [32:0] limit, first_last;
  always_comb begin
    known      = 1'b1;
    has_host   = 1'b0;
    units_ok   = cmd_q.units == 8'd1;
    range_ok   = 1'b1;
    limit      = 33'd1 << SlotBits;
    first_last = 33'(cmd_q.slot) + 33'd1;
    case (cmd_q.opcode)
      slu_regs_pkg::OPCODE_NOP, slu_regs_pkg::OPCODE_FENCE, slu_regs_pkg::OPCODE_FLOW_RESET: first_last = '0;
      slu_regs_pkg::OPCODE_WRITE_RECORD: units_ok = cmd_q.units == 8'd2 || cmd_q.units == 8'd3;
      slu_regs_pkg::OPCODE_SET_TAG: range_ok = cmd_q.arg < (32'd1 << slu_regs_pkg::TAG_BITS);
      slu_regs_pkg::OPCODE_CLEAR_TAG: ;
      slu_regs_pkg::OPCODE_COPY_RECORD: range_ok = cmd_q.arg < (32'd1 << SlotBits);
      slu_regs_pkg::OPCODE_READ_RECORD: has_host = 1'b1;
      slu_regs_pkg::OPCODE_DUMP_TAGS: begin
        limit      = 33'd1 << BucketBits;
        first_last = 33'(cmd_q.slot) + 33'(cmd_q.arg);
        has_host   = 1'b1;
      end
      slu_regs_pkg::OPCODE_READ_STATS: begin
        limit      = 33'd1 << FlowIdBits;
        first_last = 33'(cmd_q.slot) + 33'(cmd_q.arg);
        has_host   = 1'b1;
      end
      slu_regs_pkg::OPCODE_CLEAR_STATS: begin
        limit      = 33'd1 << FlowIdBits;
        first_last = 33'(cmd_q.slot) + 33'(cmd_q.arg);
      end
      slu_regs_pkg::OPCODE_WRITE_NEXTHOP: limit = 33'd1 << NextHopBits;
      slu_regs_pkg::OPCODE_READ_NEXTHOP: begin
        limit      = 33'd1 << NextHopBits;
        first_last = 33'(cmd_q.slot) + 33'(cmd_q.arg);
        has_host   = 1'b1;
      end
      default: known = 1'b0;
    endcase
    if (first_last > limit) range_ok = 1'b0;
    if (has_host && cmd_q.addr[5:0] != '0) range_ok = 1'b0;
  end

  // Writes to the host: which of those in flight are completions, oldest in bit 0.
  logic [7:0] kind_q;
  logic [3:0] flight_q;
  logic       data_push, cpl_push, host_room;
  logic [3:0] data_flight_q;
  logic       stat_wait_any;

  assign host_room = flight_q != 4'd8;
  assign data_push = (state_q == Line || state_q == StatsLine) && wr_valid_o && wr_ready_i;
  assign cpl_push  = state_q == CplRequest && wr_valid_o && wr_ready_i;

  function automatic logic [7:0] kinds_next(input logic [7:0] bits, input logic [3:0] count, input logic pop,
                                            input logic push, input logic value);
    logic [3:0] at;
    at         = count - 4'(pop);
    kinds_next = pop ? bits >> 1 : bits;
    if (push) kinds_next = (kinds_next & ~(8'd1 << at)) | (8'(value) << at);
  endfunction

  always_ff @(posedge clk_i) begin
    if (data_push || cpl_push || done_valid_i) begin
      kind_q        <= kinds_next(kind_q, flight_q, done_valid_i, data_push || cpl_push, cpl_push);
      flight_q      <= flight_q + 4'(data_push || cpl_push) - 4'(done_valid_i);
      data_flight_q <= data_flight_q + 4'(data_push) - 4'(done_valid_i && !kind_q[0]);
    end
    if (done_valid_i && kind_q[0]) written_o <= written_o + 32'd1;
    if (!rst_ni || restart_i) written_o <= '0;
    if (!rst_ni) begin
      flight_q      <= '0;
      data_flight_q <= '0;
    end
  end

  // Statistics: a chunk of up to 16 flows, four to a line; results come in any order.
  logic [127:0] stat0 [4];
  logic [127:0] stat1 [4];
  logic [127:0] stat2 [4];
  logic [127:0] stat3 [4];
  logic [4:0]   chunk_q;    // flows of this chunk
  logic [4:0]   asked_q;
  logic [8:0]   wait_q;     // results still to come
  logic [1:0]   line_q;
  logic         op_go;

  assign op_valid_o    = (state_q == StatsAsk && asked_q != chunk_q) || (state_q == ClearAsk && left_q != '0 && !wait_q[8]);
  assign op_clear_o    = state_q == ClearAsk;
  assign op_flow_id_o  = state_q == ClearAsk ? at_q : at_q + 32'(asked_q);
  assign op_tag_o      = asked_q[3:0];
  assign op_go         = op_valid_o && op_ready_i;
  assign stat_wait_any = wait_q != '0;

  always_ff @(posedge clk_i) begin
    if (res_valid_i) begin
      unique case (res_tag_i[1:0])
        2'd0: stat0[res_tag_i[3:2]] <= res_data_i;
        2'd1: stat1[res_tag_i[3:2]] <= res_data_i;
        2'd2: stat2[res_tag_i[3:2]] <= res_data_i;
        default: stat3[res_tag_i[3:2]] <= res_data_i;
      endcase
    end
    if (op_go || res_valid_i) wait_q <= wait_q + 9'(op_go) - 9'(res_valid_i);
    if (!rst_ni) wait_q <= '0;
  end

  // -- buses --
  assign tbl_valid_o = state_q == Table;
  assign tbl_tag_o   = cmd_q.arg[16:0];
  assign tbl_nh_o    = cmd_q.next_hop;
  assign tbl_slot_o  = at_q;
  always_comb begin
    case (cmd_q.opcode)
      slu_regs_pkg::OPCODE_SET_TAG:       tbl_op_o = slu_pkg::TBL_SET_TAG;
      slu_regs_pkg::OPCODE_CLEAR_TAG:     tbl_op_o = slu_pkg::TBL_CLEAR_TAG;
      slu_regs_pkg::OPCODE_DUMP_TAGS:     tbl_op_o = slu_pkg::TBL_DUMP;
      slu_regs_pkg::OPCODE_WRITE_NEXTHOP: tbl_op_o = slu_pkg::TBL_WRITE_NEXTHOP;
      slu_regs_pkg::OPCODE_READ_NEXTHOP:  tbl_op_o = slu_pkg::TBL_READ_NEXTHOP;
      slu_regs_pkg::OPCODE_FENCE:         tbl_op_o = slu_pkg::TBL_FENCE;
      slu_regs_pkg::OPCODE_FLOW_RESET:    tbl_op_o = slu_pkg::TBL_FLOW_RESET;
      default:                            tbl_op_o = slu_pkg::TBL_READ_RECORD;
    endcase
  end

  assign m_rec_awvalid_o = state_q == RecAddr;
  assign m_rec_awaddr_o  = dst_q << 7;
  assign m_rec_awlen_o   = 8'(two_q);
  assign m_rec_wvalid_o  = state_q == RecData;
  assign m_rec_wdata_o   = buf_q[511:0];
  assign m_rec_wlast_o   = !two_q || beat_q;
  assign m_rec_bready_o  = 1'b1;

  logic [31:0] cpl_index_q;
  slu_regs_pkg::cmd_completion_t cpl;
  always_comb begin
    cpl        = '0;
    cpl.cookie = cmd_q.cookie;
    cpl.opcode = cmd_q.opcode;
    cpl.status = status_q;
    cpl.pass   = 32'd1 + (cpl_index_q >> cpl_log2_i);
  end

  assign wr_valid_o = ((state_q == Line || state_q == StatsLine) && host_room) || (state_q == CplRequest && host_room);
  always_comb begin
    wr_addr_o = host_q;
    if (state_q == CplRequest) wr_addr_o = cpl_i + {32'd0, (cpl_index_q & ((32'd1 << cpl_log2_i) - 32'd1)) << 4};
  end
  logic [15:0] line_bytes_q;
  assign wr_bytes_o = state_q == CplRequest ? 16'd16 : line_bytes_q;
  assign wd_valid_o = state_q == LineData || state_q == StatsData || state_q == CplData;
  always_comb begin
    wd_data_o = '0;
    if (state_q == LineData) wd_data_o = buf_q[511:0];
    if (state_q == StatsData) wd_data_o = {stat3[line_q], stat2[line_q], stat1[line_q], stat0[line_q]};
    if (state_q == CplData) wd_data_o = {4{cpl}};
  end

  logic is_read_record, is_copy, is_flow_reset, starving;
  assign is_read_record = cmd_q.opcode == slu_regs_pkg::OPCODE_READ_RECORD;
  assign is_copy        = cmd_q.opcode == slu_regs_pkg::OPCODE_COPY_RECORD;
  assign is_flow_reset  = cmd_q.opcode == slu_regs_pkg::OPCODE_FLOW_RESET;

  always_ff @(posedge clk_i) begin
    failed_o     <= 1'b0;
    nop_o        <= 1'b0;
    flow_clear_o <= 1'b0;
    rec_error_o  <= 1'b0;
    unique case (state_q)
      Idle: begin
        status_q <= slu_regs_pkg::CMD_STATUS_OK;
        beat_q   <= 1'b0;
        half_q   <= 1'b0;
        line_q   <= '0;
        asked_q  <= '0;
        if (got_unit && !stop) begin
          unit_q  <= units[head_q[3:0]];
          state_q <= Load;
        end
      end
      Load: begin
        cmd_q   <= unit_q;
        state_q <= stop ? Idle : Decode;
      end
      Decode: begin
        at_q   <= cmd_q.slot;
        left_q <= cmd_q.arg;
        host_q <= cmd_q.addr;
        dst_q  <= cmd_q.slot;
        two_q  <= cmd_q.units == 8'd3;
        skip_q <= cmd_q.units == '0 ? 8'd0 : cmd_q.units - 8'd1;
        if (!known || !units_ok || !range_ok) begin
          status_q <= !known ? slu_regs_pkg::CMD_STATUS_BAD_OPCODE
            : !units_ok ? slu_regs_pkg::CMD_STATUS_BAD_UNITS : slu_regs_pkg::CMD_STATUS_RANGE;
          state_q <= Skip;
        end else begin
          case (cmd_q.opcode)
            slu_regs_pkg::OPCODE_NOP: begin
              nop_o   <= 1'b1;
              state_q <= Finish;
            end
            slu_regs_pkg::OPCODE_WRITE_RECORD: state_q <= Record0;
            slu_regs_pkg::OPCODE_DUMP_TAGS, slu_regs_pkg::OPCODE_READ_NEXTHOP:
              state_q <= cmd_q.arg == '0 ? Finish : Table;
            slu_regs_pkg::OPCODE_READ_STATS: begin
              chunk_q <= cmd_q.arg < 32'd16 ? cmd_q.arg[4:0] : 5'd16;
              state_q <= cmd_q.arg == '0 ? Finish : StatsAsk;
            end
            slu_regs_pkg::OPCODE_CLEAR_STATS: state_q <= ClearAsk;
            slu_regs_pkg::OPCODE_FLOW_RESET: begin
              flow_clear_o <= 1'b1;
              state_q      <= Table;
            end
            slu_regs_pkg::OPCODE_COPY_RECORD: begin
              dst_q   <= cmd_q.arg;
              two_q   <= 1'b1;
              state_q <= Table;
            end
            default: state_q <= Table;
          endcase
        end
      end
      Skip:
      if (stop) state_q <= Idle;
      else if (skip_q == '0) state_q <= Finish;
      else if (got_unit) skip_q <= skip_q - 8'd1;

      // The record's units, then its write.
      Record0:
      if (stop) begin
        state_q <= Idle;
      end else if (got_unit) begin
        buf_q[511:0] <= units[head_q[3:0]];
        skip_q       <= skip_q - 8'd1;
        state_q      <= two_q ? Record1 : Record2;
      end
      Record1:
      if (stop) begin
        state_q <= Idle;
      end else if (got_unit) begin
        buf_q[1023:512] <= units[head_q[3:0]];
        skip_q          <= skip_q - 8'd1;
        state_q         <= Record2;
      end
      Record2: begin
        // Byte 1 of a record: its flags.
        if (buf_q[8+slu_regs_pkg::REC_IPV6] != two_q) begin
          status_q <= slu_regs_pkg::CMD_STATUS_BAD_UNITS;
          state_q  <= Finish;
        end else begin
          state_q <= RecAddr;
        end
      end
      RecAddr: if (m_rec_awready_i) state_q <= RecData;
      RecData:
      if (m_rec_wready_i) begin
        buf_q[511:0] <= buf_q[1023:512];
        beat_q       <= 1'b1;
        if (m_rec_wlast_o) state_q <= RecResponse;
      end
      RecResponse:
      if (m_rec_bvalid_i) begin
        if (m_rec_bresp_i[1]) begin
          status_q    <= slu_regs_pkg::CMD_STATUS_MEMORY;
          rec_error_o <= 1'b1;
        end
        state_q <= Finish;
      end

      // Table port.
      Table: if (tbl_ready_i) state_q <= TableWait;
      TableWait:
      if (tbl_done_i) begin
        if (is_read_record || is_copy) begin
          buf_q <= tbl_rdata_i;
          if (tbl_err_i) status_q <= slu_regs_pkg::CMD_STATUS_MEMORY;
        end else if (half_q) begin
          buf_q[511:256] <= tbl_rdata_i[255:0];
        end else begin
          buf_q[511:0] <= {256'd0, tbl_rdata_i[255:0]};
        end
        if (is_read_record) begin
          left_q  <= 32'd2;
          state_q <= tbl_err_i ? Finish : TableDone;
        end else if (is_copy) begin
          state_q <= tbl_err_i ? Finish : RecAddr;
        end else if (is_flow_reset) begin
          at_q    <= '0;
          left_q  <= 32'd1 << FlowIdBits;
          state_q <= ClearAsk;
        end else if (has_host) begin
          at_q    <= at_q + 32'd1;
          left_q  <= left_q - 32'd1;
          half_q  <= !half_q;
          state_q <= half_q || left_q == 32'd1 ? TableDone : Table;
        end else begin
          state_q <= Finish;
        end
      end
      // A line is complete: half_q tells whether it holds one item or two.
      TableDone: begin
        line_bytes_q <= is_read_record || !half_q ? 16'd64 : 16'd32;
        half_q       <= 1'b0;
        state_q      <= Line;
      end
      Line: if (wr_ready_i && host_room) state_q <= LineData;
      LineData:
      if (wd_ready_i) begin
        host_q <= host_q + 64'd64;
        if (is_read_record) begin
          buf_q[511:0] <= buf_q[1023:512];
          left_q       <= left_q - 32'd1;
          state_q      <= left_q == 32'd1 ? Drain : TableDone;
        end else begin
          state_q <= left_q == '0 || stop ? Drain : Table;
        end
      end

      // Statistics.
      StatsAsk: begin
        if (op_go) asked_q <= asked_q + 5'd1;
        if (asked_q == chunk_q) state_q <= StatsWait;
      end
      StatsWait:
      if (!stat_wait_any) begin
        line_q       <= '0;
        line_bytes_q <= 16'(chunk_q) << 4;
        state_q      <= StatsLine;
      end
      StatsLine: if (wr_ready_i && host_room) state_q <= StatsData;
      StatsData:
      if (wd_ready_i) begin
        line_q <= line_q + 2'd1;
        if (line_q == 2'((chunk_q - 5'd1) >> 2)) begin
          host_q  <= host_q + 64'd256;
          at_q    <= at_q + 32'(chunk_q);
          left_q  <= left_q - 32'(chunk_q);
          asked_q <= '0;
          chunk_q <= left_q - 32'(chunk_q) < 32'd16 ? 5'(left_q - 32'(chunk_q)) : 5'd16;
          state_q <= left_q == 32'(chunk_q) || stop ? Drain : StatsAsk;
        end
      end
      ClearAsk: begin
        if (op_go) begin
          at_q   <= at_q + 32'd1;
          left_q <= left_q - 32'd1;
        end
        // FLOW_RESET is never left half done.
        if (stop && !is_flow_reset && !op_go) left_q <= '0;
        if (left_q == '0 && !stat_wait_any) state_q <= Drain;
      end

      Drain: if (data_flight_q == '0) state_q <= Finish;
      Finish: begin
        failed_o <= status_q != slu_regs_pkg::CMD_STATUS_OK && !stop;
        if (stop) state_q <= Idle;
        else if (cmd_q.flags[slu_regs_pkg::CMD_FLAG_QUIET] && status_q == slu_regs_pkg::CMD_STATUS_OK) state_q <= Idle;
        else state_q <= CplRequest;
      end
      CplRequest: if (wr_ready_i && host_room) state_q <= CplData;
      default:
      if (wd_ready_i) begin
        cpl_index_q <= cpl_index_q + 32'd1;
        state_q     <= Idle;
      end
    endcase
    // The first fault is the one that counts.
    if (status_q == slu_regs_pkg::CMD_STATUS_OK && state_q != Idle) begin
      if (done_valid_i && done_err_i && !kind_q[0]) status_q <= slu_regs_pkg::CMD_STATUS_DMA;
      if (res_valid_i && res_err_i) status_q <= slu_regs_pkg::CMD_STATUS_MEMORY;
    end
    if (!rst_ni || restart_i) cpl_index_q <= '0;
    if (!rst_ni) state_q <= Idle;
  end

  assign flow_busy_o = is_flow_reset && state_q != Idle && state_q != Load && state_q != Decode;
  assign executing_o = state_q != Idle || flight_q != '0 || fetch_state_q != FetchIdle;
  assign busy_o      = executing_o;
  // A command whose units the host has not given yet is no work.
  assign starving    = !got_unit && !stop && (state_q == Record0 || state_q == Record1 || (state_q == Skip && skip_q != '0));
  assign idle_o      = (state_q == Idle || starving) && flight_q == '0 && fetch_state_q == FetchIdle && !more && (!got_unit || stop);
endmodule
