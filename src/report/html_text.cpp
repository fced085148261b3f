// SPDX-License-Identifier: Apache-2.0
// Escaping, and the page around.
#include "html_text.hpp"

#include <fmt/format.h>

namespace twistor::report {
namespace {

// Colours of the lines tell apart for colour-blind readers too (Okabe and Ito 2008); contrast with the ground
// is 3 or more in both schemes.
constexpr std::string_view style = R"(
:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--soft:#57606a;--line:#d0d7de;--box:#f6f8fa;
--s0:#0072b2;--s1:#c04000;--s2:#00795a;--s3:#a3458a;--s4:#8a6a00;--good:#0a6b3d;--fair:#7a5200;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ground:#0f1318;--text:#e6edf3;--soft:#9aa7b4;--line:#30363d;
--box:#171c22;--s0:#5db4ea;--s1:#f08c4b;--s2:#3fc79a;--s3:#e29acb;--s4:#dcb93c;--good:#4ccb86;--fair:#e0b341;
--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}
p{margin:.4rem 0;max-width:50rem}
.soft,figcaption,caption{color:var(--soft)}
.verdict{border-left:.35rem solid var(--soft);background:var(--box);padding:.8rem 1rem;margin:1rem 0}
.verdict.good{border-color:var(--good)}.verdict.fair{border-color:var(--fair)}.verdict.bad{border-color:var(--bad)}
.verdict p{max-width:none}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.28rem .8rem .28rem 0;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child{text-align:left}thead th{color:var(--soft);font-weight:600}
td{white-space:nowrap}tbody th{font-weight:400;white-space:pre-wrap;overflow-wrap:anywhere}dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1.2rem;margin:0}
dt{color:var(--soft)}dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
small{color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:1.2rem}
figure{margin:0;min-width:0}.medium{max-width:50rem}figcaption{font-weight:600;margin-bottom:.3rem}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font:12px system-ui,sans-serif}
.grid{stroke:var(--line)}.reference{stroke:var(--soft);stroke-dasharray:2 3}
.interval{stroke-width:1.5}polyline{fill:none;stroke-width:2}.dash{stroke-dasharray:6 4}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.s4{stroke:var(--s4)}
circle.s0{fill:var(--s0)}circle.s1{fill:var(--s1)}circle.s2{fill:var(--s2)}circle.s3{fill:var(--s3)}circle.s4{fill:var(--s4)}
.bar{fill:var(--s0)}
.tree{fill:none;stroke:var(--s0);stroke-width:1.2}.leaf{fill:var(--s1)}
.tokens{display:flex;flex-wrap:wrap;row-gap:.5rem;margin:.6rem 0 1.1rem}
.tokens>span{text-align:center;line-height:1.25;border-right:1px solid var(--ground)}
.tokens i{display:block;font-style:normal;white-space:pre;min-height:1.25em}
.soft span{color:var(--text)}
.tokens .n{display:block;font-size:.7rem;padding:0 .25rem;font-variant-numeric:tabular-nums}
.u0{background:rgba(213,94,0,.5)}.u1{background:rgba(213,94,0,.36)}.u2{background:rgba(213,94,0,.22)}
.u3{background:rgba(213,94,0,.1)}.u5{background:rgba(0,114,178,.1)}.u6{background:rgba(0,114,178,.22)}
.u7{background:rgba(0,114,178,.36)}.u8{background:rgba(0,114,178,.5)}
summary{cursor:pointer;color:var(--soft)}pre{overflow:auto;max-height:24rem;background:var(--box);padding:.6rem;
font-size:.82rem}
@media print{*{print-color-adjust:exact;-webkit-print-color-adjust:exact}body{max-width:none;padding:0}pre{max-height:none;white-space:pre-wrap}h2{break-after:avoid}details:not([open]){display:none}.wide{overflow:visible}figure,tr{break-inside:avoid}}
)";

std::string anchor(std::string_view title) {
  std::string id;
  for (const char c : title) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool is_capital = c >= 'A' && c <= 'Z';
    id += is_plain ? c : is_capital ? static_cast<char>(c - 'A' + 'a') : '-';
  }
  return id;
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') {
          out += "\xEF\xBF\xBD";  // HTML has no place for it
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string section(std::string_view title, const std::string& body) {
  if (body.empty()) return {};
  return fmt::format("<h2 id=\"{}\">{}</h2>\n{}", anchor(title), html(title), body);
}

std::string details(std::string_view title, const std::string& body) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", html(title), body);
}

std::string side_by_side(const std::string& figures) {
  return figures.empty() ? std::string{} : fmt::format("<div class=\"charts\">\n{}</div>\n", figures);
}

std::string html_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>";
  for (const std::string& cell : header) out += fmt::format("<th scope=\"col\">{}</th>", cell);
  out += "</tr></thead><tbody>\n";
  for (const std::vector<std::string>& row : rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      out += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", row[i]) : fmt::format("<td>{}</td>", row[i]);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string html_page(std::string_view title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
      html(title), style, body);
}

}  // namespace twistor::report
