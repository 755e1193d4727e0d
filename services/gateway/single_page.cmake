# Makes websocket_test.html: the console as one file that works where modules can't be loaded, opened from a disk.
# Each module becomes a function that returns what it exports; the page's own content security policy names every script
# and style by its hash.
#
#   cmake -D SOURCE=static -D OUTPUT=websocket_test.html -P single_page.cmake
set(modules parley templates server console) # each after those that it imports

# The base64 of a hash that is given in hexadecimal digits.
function(base64_of_hex hex out)
  set(alphabet ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(hex ${hex}00) # 33 bytes of which the last is none
  set(text "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING ${hex} ${at} 6 three_bytes)
    foreach(shift 18 12 6 0)
      math(EXPR digit "(0x${three_bytes} >> ${shift}) & 63")
      string(SUBSTRING ${alphabet} ${digit} 1 letter)
      string(APPEND text ${letter})
    endforeach()
  endforeach()
  string(LENGTH ${text} length)
  math(EXPR length "${length} - 1")
  string(SUBSTRING ${text} 0 ${length} text)
  set(${out} "${text}=" PARENT_SCOPE)
endfunction()

function(source_of_hash text out)
  string(SHA256 hash "${text}")
  base64_of_hex(${hash} encoded)
  set(${out} "'sha256-${encoded}'" PARENT_SCOPE)
endfunction()

# Puts `new` where `old` stands, which must be there.
function(put old new)
  string(FIND "${page}" "${old}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "test_websocket.html has no ${old}")
  endif()
  string(REPLACE "${old}" "${new}" page "${page}")
  set(page "${page}" PARENT_SCOPE)
endfunction()

set(script "\n")
foreach(module ${modules})
  file(READ ${SOURCE}/${module}.js text)
  string(REGEX MATCHALL "\nexport (const|class|function|async function) [A-Za-z]+" exports "${text}")
  list(TRANSFORM exports REPLACE "^.* " "")
  list(JOIN exports ", " exports)
  string(REGEX REPLACE "(^|\n)import [^\n]*" "\\1" text "${text}")
  string(REPLACE "\nexport " "\n" text "${text}")
  string(APPEND script "const { ${exports} } = (() => {\n${text}\nreturn { ${exports} };\n})();\n")
endforeach()

file(READ ${SOURCE}/test_websocket.html page)
file(READ ${SOURCE}/theme.js theme)
file(READ ${SOURCE}/parley.css style)
file(READ ${SOURCE}/icon.svg icon)
string(REGEX REPLACE "\n *" " " icon "${icon}")
string(REPLACE "\"" "'" icon "${icon}")
string(REPLACE "#" "%23" icon "${icon}")
string(REPLACE "<" "%3C" icon "${icon}")
string(REPLACE ">" "%3E" icon "${icon}")
source_of_hash("${theme}" theme_source)
source_of_hash("${script}" script_source)
source_of_hash("${style}" style_source)

put("<link rel=\"stylesheet\" href=\"parley.css\">" "<style>${style}</style>")
put("<script src=\"theme.js\"></script>" "<script>${theme}</script>")
put("<script src=\"console.js\" type=\"module\"></script>" "<script type=\"module\">${script}</script>")
put("\"icon.svg\"" "\"data:image/svg+xml,${icon}\"")
put("<meta charset=\"utf-8\">" "<meta charset=\"utf-8\">
  <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src ${theme_source} ${script_source}; \
style-src ${style_source}; img-src data:; connect-src ws: wss: http: https:; base-uri 'none'; form-action 'none'\">")
file(WRITE ${OUTPUT} "${page}")
