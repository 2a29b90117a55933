// AXI4 master of host memory, shared by the clients of the host interface.
//
// Each client has an id of its own, so its answers come in the order of its requests. A request of any length is cut into
// bursts that never cross 4 KiB; addresses of writes of more than one beat are 64-byte aligned, shorter writes lie within
// one 64-byte line with the data on its lanes.
// Read answers cannot be held: a client asks for what it has room for. Write requests are finished by `done` after the last
// B response, in order for each client: who writes a completion waits for the done of its payload.
// block_i (DMA is disabled): requests that have not begun are answered with an error and never reach the bus.
// Reset: only with the bus at rest (idle_o).
module slu_dma #(
  parameter int unsigned NumRd = 6,
  parameter int unsigned NumWr = 5
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 block_i,

  // Read clients. The answer has one beat for each 64-byte line touched, or ends early with err.
  input  logic [NumRd-1:0]     rd_valid_i,
  output logic [NumRd-1:0]     rd_ready_o,
  input  logic [NumRd*64-1:0]  rd_addr_i,
  input  logic [NumRd*16-1:0]  rd_bytes_i,
  output logic [NumRd-1:0]     rsp_valid_o,
  output logic [511:0]         rsp_data_o,
  output logic                 rsp_err_o,
  output logic                 rsp_last_o,

  // Write clients. The data of client wr_sel_o is taken, a beat for each line.
  input  logic [NumWr-1:0]     wr_valid_i,
  output logic [NumWr-1:0]     wr_ready_o,
  input  logic [NumWr*64-1:0]  wr_addr_i,
  input  logic [NumWr*16-1:0]  wr_bytes_i,
  output logic [2:0]           wr_sel_o,
  input  logic [NumWr-1:0]     wd_valid_i,
  output logic [NumWr-1:0]     wd_ready_o,
  input  logic [511:0]         wd_data_i,
  output logic [NumWr-1:0]     done_valid_o,
  output logic                 done_err_o,

  // Pulses for the error counters, and whether nothing is in flight.
  output logic                 read_error_o,
  output logic                 write_error_o,
  output logic                 idle_o,

  // Host memory
  output logic                 m_dma_arvalid_o,
  input  logic                 m_dma_arready_i,
  output logic [63:0]          m_dma_araddr_o,
  output logic [5:0]           m_dma_arid_o,
  output logic [7:0]           m_dma_arlen_o,
  input  logic                 m_dma_rvalid_i,
  output logic                 m_dma_rready_o,
  input  logic [511:0]         m_dma_rdata_i,
  input  logic [5:0]           m_dma_rid_i,
  input  logic [1:0]           m_dma_rresp_i,
  input  logic                 m_dma_rlast_i,
  output logic                 m_dma_awvalid_o,
  input  logic                 m_dma_awready_i,
  output logic [63:0]          m_dma_awaddr_o,
  output logic [5:0]           m_dma_awid_o,
  output logic [7:0]           m_dma_awlen_o,
  output logic                 m_dma_wvalid_o,
  input  logic                 m_dma_wready_i,
  output logic [511:0]         m_dma_wdata_o,
  output logic [63:0]          m_dma_wstrb_o,
  output logic                 m_dma_wlast_o,
  input  logic                 m_dma_bvalid_i,
  output logic                 m_dma_bready_o,
  input  logic [5:0]           m_dma_bid_i,
  input  logic [1:0]           m_dma_bresp_i
);
  // Bursts of one client in flight; a request's last burst is marked in a FIFO of bits.
  localparam int unsigned Depth = 16;

  // Lowest request at or after `from`, else the lowest.
  function automatic logic [2:0] pick(input logic [7:0] req, input logic [2:0] from);
    logic hit;
    pick = '0;
    hit  = 1'b0;
    for (int i = 0; i < 8; i++) begin
      if (!hit && req[3'(i) + from]) begin
        pick = 3'(i) + from;
        hit  = 1'b1;
      end
    end
  endfunction

  // Bytes from addr to the end of its 4 KiB page, or all that is left.
  function automatic logic [15:0] burst_bytes(input logic [11:0] addr, input logic [15:0] left);
    logic [15:0] room;
    room        = 16'd4096 - 16'(addr);
    burst_bytes = left < room ? left : room;
  endfunction

  function automatic logic [7:0] burst_len(input logic [5:0] off, input logic [15:0] bytes);
    burst_len = 8'((16'(off) + bytes - 16'd1) >> 6);
  endfunction

  // A FIFO of bits, oldest in bit 0, after a pop and a push.
  function automatic logic [Depth-1:0] bits_next(input logic [Depth-1:0] bits, input logic [4:0] count, input logic pop,
                                                 input logic push, input logic value);
    logic [4:0] at;
    at        = count - 5'(pop);
    bits_next = pop ? bits >> 1 : bits;
    if (push) bits_next = (bits_next & ~(Depth'(1) << at)) | (Depth'(value) << at);
  endfunction

  // -- reads: requests --
  typedef enum logic [1:0] {RdIdle, RdBurst, RdBlocked} rd_state_e;
  rd_state_e   rd_state_q;
  logic [2:0]  rd_sel_q;
  logic [63:0] rd_addr_q;
  logic [15:0] rd_left_q;
  logic [15:0] rd_bytes;  // of this burst
  logic        rd_more;
  logic [4:0]  rd_count_q [NumRd];
  logic [Depth-1:0] rd_last_q [NumRd];
  logic [2:0]  rd_next;
  logic        rd_push, rd_pop, rd_blocked;
  logic [2:0]  r_id_q;
  logic [7:0]  rd_req;
  logic        rd_busy_q;  // some burst is in flight
  logic [7:0]  rd_total_q;

  assign rd_req          = 8'(rd_valid_i);
  assign rd_bytes        = burst_bytes(rd_addr_q[11:0], rd_left_q);
  assign rd_more         = rd_left_q != rd_bytes;
  assign m_dma_arvalid_o = rd_state_q == RdBurst && rd_count_q[rd_sel_q] != 5'(Depth);
  assign m_dma_araddr_o  = rd_addr_q;
  assign m_dma_arid_o    = 6'(rd_sel_q);
  assign m_dma_arlen_o   = burst_len(rd_addr_q[5:0], rd_bytes);
  assign rd_push         = m_dma_arvalid_o && m_dma_arready_i;

  always_comb begin
    rd_next    = '0;
    rd_ready_o = '0;
    if (rd_state_q == RdIdle && rd_req != '0) begin
      rd_next             = pick(rd_req, rd_sel_q + 3'd1);
      rd_ready_o[rd_next] = 1'b1;
    end
  end

  // -- reads: answers --
  // An answer is taken as it comes and passed on in the next clock.
  logic         r_valid_q, r_err_q, r_last_q;
  logic [511:0] r_data_q;
  always_ff @(posedge clk_i) begin
    r_valid_q <= m_dma_rvalid_i && rst_ni;
    if (m_dma_rvalid_i) begin
      r_id_q      <= m_dma_rid_i[2:0];
      r_data_q <= m_dma_rdata_i;
      r_err_q  <= m_dma_rresp_i[1];
      r_last_q <= m_dma_rlast_i;
    end
  end
  assign m_dma_rready_o = 1'b1;
  assign rd_blocked     = rd_state_q == RdBlocked && rd_count_q[rd_sel_q] == '0 && !r_valid_q;
  assign rd_pop         = r_valid_q && r_last_q;
  assign rsp_data_o     = r_data_q;
  assign rsp_err_o      = rd_blocked || r_err_q;
  assign rsp_last_o     = rd_blocked || (r_last_q && rd_last_q[r_id_q][0]);

  always_comb begin
    rsp_valid_o = '0;
    if (rd_blocked) rsp_valid_o[rd_sel_q] = 1'b1;
    else if (r_valid_q) rsp_valid_o[r_id_q] = 1'b1;
  end

  logic rd_err_q;  // a beat of the burst had an error; beats of two bursts may interleave: the count is of bursts at least
  always_ff @(posedge clk_i) begin
    read_error_o <= 1'b0;
    if (r_valid_q) begin
      rd_err_q     <= r_last_q ? 1'b0 : rd_err_q | r_err_q;
      read_error_o <= r_last_q && (rd_err_q | r_err_q);
    end
    if (!rst_ni) rd_err_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    unique case (rd_state_q)
      RdIdle:
      if (rd_req != '0) begin
        rd_sel_q   <= rd_next;
        rd_addr_q  <= rd_addr_i[rd_next*64+:64];
        rd_left_q  <= rd_bytes_i[rd_next*16+:16];
        rd_state_q <= block_i ? RdBlocked : RdBurst;
      end
      RdBurst:
      if (rd_push) begin
        rd_addr_q <= rd_addr_q + 64'(rd_bytes);
        rd_left_q <= rd_left_q - rd_bytes;
        if (!rd_more) rd_state_q <= RdIdle;
      end
      default: if (rd_blocked) rd_state_q <= RdIdle;
    endcase
    if (rd_push || rd_pop) begin
      for (int c = 0; c < NumRd; c++) begin
        rd_last_q[c]  <= bits_next(rd_last_q[c], rd_count_q[c], rd_pop && r_id_q == 3'(c), rd_push && rd_sel_q == 3'(c),
                                !rd_more);
        rd_count_q[c] <= rd_count_q[c] + 5'(rd_push && rd_sel_q == 3'(c)) - 5'(rd_pop && r_id_q == 3'(c));
      end
      rd_total_q <= rd_total_q + 8'(rd_push) - 8'(rd_pop);
      rd_busy_q  <= rd_total_q + 8'(rd_push) != 8'(rd_pop);
    end
    if (!rst_ni) begin
      rd_state_q <= RdIdle;
      rd_sel_q   <= '0;
      rd_total_q <= '0;
      rd_busy_q  <= 1'b0;
      for (int c = 0; c < NumRd; c++) rd_count_q[c] <= '0;
    end
  end

  // -- writes: requests and data --
  typedef enum logic [2:0] {WrIdle, WrAddr, WrData, WrSwallow, WrBlocked} wr_state_e;
  wr_state_e   wr_state_q;
  logic [2:0]  wr_sel_q;
  logic [63:0] wr_addr_q;
  logic [15:0] wr_left_q;   // bytes not yet in a burst
  logic [15:0] wr_burst_q;  // bytes of this burst not yet sent
  logic [5:0]  wr_off_q;    // of the next beat
  logic [15:0] wr_bytes;
  logic        wr_more;
  logic [4:0]  wr_count_q [NumWr];
  logic [Depth-1:0] wr_last_q [NumWr];
  logic        wr_err_q [NumWr];  // of the bursts of the request so far
  logic [7:0]  wr_total_q;
  logic        wr_busy_q;
  logic [2:0]  wr_next;
  logic        wr_push, wr_pop, wr_blocked, wr_beat;
  logic [2:0]  b_id_q;
  logic [7:0]  wr_req;
  logic [6:0]  beat_bytes;
  logic        beat_last;

  assign wr_req          = 8'(wr_valid_i);
  assign wr_bytes        = burst_bytes(wr_addr_q[11:0], wr_left_q);
  assign wr_more         = wr_left_q != '0;
  assign m_dma_awvalid_o = wr_state_q == WrAddr && wr_count_q[wr_sel_q] != 5'(Depth);
  assign m_dma_awaddr_o  = wr_addr_q;
  assign m_dma_awid_o    = 6'(wr_sel_q);
  assign m_dma_awlen_o   = burst_len(wr_addr_q[5:0], wr_bytes);
  assign wr_push         = m_dma_awvalid_o && m_dma_awready_i;
  assign wr_sel_o        = wr_sel_q;

  assign beat_last       = wr_burst_q + 16'(wr_off_q) <= 16'd64;
  assign beat_bytes      = beat_last ? wr_burst_q[6:0] : 7'd64 - 7'(wr_off_q);
  assign m_dma_wvalid_o  = wr_state_q == WrData && wd_valid_i[wr_sel_q];
  assign m_dma_wdata_o   = wd_data_i;
  assign m_dma_wstrb_o   = (~64'd0 >> (7'd64 - beat_bytes)) << wr_off_q;
  assign m_dma_wlast_o   = beat_last;
  assign wr_beat         = wd_valid_i[wr_sel_q] && wd_ready_o[wr_sel_q];

  always_comb begin
    wr_next    = '0;
    wr_ready_o = '0;
    if (wr_state_q == WrIdle && wr_req != '0) begin
      wr_next             = pick(wr_req, wr_sel_q + 3'd1);
      wr_ready_o[wr_next] = 1'b1;
    end
    wd_ready_o = '0;
    wd_ready_o[wr_sel_q] = (wr_state_q == WrData && m_dma_wready_i) || wr_state_q == WrSwallow;
  end

  // -- writes: responses --
  logic b_valid_q, b_err_q;
  always_ff @(posedge clk_i) begin
    b_valid_q <= m_dma_bvalid_i && rst_ni;
    if (m_dma_bvalid_i) begin
      b_id_q     <= m_dma_bid_i[2:0];
      b_err_q <= m_dma_bresp_i[1];
    end
  end
  assign m_dma_bready_o = 1'b1;
  assign wr_pop         = b_valid_q;
  assign wr_blocked     = wr_state_q == WrBlocked && wr_count_q[wr_sel_q] == '0 && !wr_pop;
  assign done_err_o     = wr_blocked || b_err_q || wr_err_q[b_id_q];

  always_comb begin
    done_valid_o = '0;
    if (wr_blocked) done_valid_o[wr_sel_q] = 1'b1;
    else if (wr_pop) done_valid_o[b_id_q] = wr_last_q[b_id_q][0];
  end

  always_ff @(posedge clk_i) begin
    write_error_o <= wr_pop && b_err_q;
    unique case (wr_state_q)
      WrIdle:
      if (wr_req != '0) begin
        wr_sel_q   <= wr_next;
        wr_addr_q  <= wr_addr_i[wr_next*64+:64];
        wr_left_q  <= wr_bytes_i[wr_next*16+:16];
        wr_burst_q <= wr_bytes_i[wr_next*16+:16];
        wr_off_q   <= wr_addr_i[wr_next*64+:6];
        wr_state_q <= block_i ? WrSwallow : WrAddr;
      end
      WrAddr:
      if (wr_push) begin
        wr_burst_q <= wr_bytes;
        wr_off_q   <= wr_addr_q[5:0];
        wr_addr_q  <= wr_addr_q + 64'(wr_bytes);
        wr_left_q  <= wr_left_q - wr_bytes;
        wr_state_q <= WrData;
      end
      WrData:
      if (wr_beat) begin
        wr_burst_q <= wr_burst_q - 16'(beat_bytes);
        wr_off_q   <= '0;
        if (beat_last) wr_state_q <= wr_more ? WrAddr : WrIdle;
      end
      WrSwallow:
      if (wr_beat) begin
        wr_burst_q <= wr_burst_q - 16'(beat_bytes);
        wr_off_q   <= '0;
        if (beat_last) wr_state_q <= WrBlocked;
      end
      default: if (wr_blocked) wr_state_q <= WrIdle;
    endcase
    if (wr_push || wr_pop) begin
      for (int c = 0; c < NumWr; c++) begin
        wr_last_q[c]  <= bits_next(wr_last_q[c], wr_count_q[c], wr_pop && b_id_q == 3'(c), wr_push && wr_sel_q == 3'(c),
                                wr_left_q == wr_bytes);
        wr_count_q[c] <= wr_count_q[c] + 5'(wr_push && wr_sel_q == 3'(c)) - 5'(wr_pop && b_id_q == 3'(c));
        if (wr_pop && b_id_q == 3'(c)) wr_err_q[c] <= !wr_last_q[c][0] && (wr_err_q[c] || b_err_q);
      end
      wr_total_q <= wr_total_q + 8'(wr_push) - 8'(wr_pop);
      wr_busy_q  <= wr_total_q + 8'(wr_push) != 8'(wr_pop);
    end
    if (!rst_ni) begin
      wr_state_q <= WrIdle;
      wr_sel_q   <= '0;
      wr_total_q <= '0;
      wr_busy_q  <= 1'b0;
      for (int c = 0; c < NumWr; c++) begin
        wr_count_q[c] <= '0;
        wr_err_q[c]   <= 1'b0;
      end
    end
  end

  assign idle_o = rd_state_q == RdIdle && wr_state_q == WrIdle && !rd_busy_q && !wr_busy_q;
endmodule
