# Makes libraries.js of the libraries that the chat page uses, as Debian packages them: marked (Markdown), DOMPurify
# (sanitizing) and Prism (the colours of code). One classic script; it defines marked, DOMPurify and Prism.
#
#   cmake -D OUTPUT=libraries.js -P libraries.cmake
set(marked /usr/share/javascript/marked/marked.umd.min.js) # libjs-marked
set(purify /usr/share/nodejs/dompurify/dist/purify.min.js) # node-dompurify
set(prism /usr/share/nodejs/prismjs/components/prism)      # node-prismjs
# In this order: some build on others. Several are known by other names, too, such as js, py, sh, html, yml.
set(languages markup css clike javascript c cpp csharp bash diff docker go http ini java json kotlin makefile markdown
  markup-templating php python ruby rust sql swift typescript yaml)

# Appends a file to `all`, between two texts.
function(take before file after)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing: apt-get install libjs-marked node-dompurify node-prismjs")
  endif()
  file(READ ${file} text)
  string(REGEX REPLACE "\n//# sourceMappingURL=[^\n]*" "" text "${text}")
  set(all "${all}${before}${text}${after}\n" PARENT_SCOPE)
endfunction()

set(all "")
take("" ${marked} ";")
# Debian 12's DOMPurify (2.4.1+dfsg+~2.4.0-2+deb12u1) throws "shadowNode is not defined" on every text with a tag: a check
# of nesting depth was put, besides where it belongs, before the loop that makes this variable. So it finds one.
take("(function (shadowNode) {\n" ${purify} "\n}).call(globalThis, { __depth: 0 });")
take("window.Prism = { manual: true };\n" ${prism}-core.min.js ";") # it must not look for code by itself
foreach(language ${languages})
  take("" ${prism}-${language}.min.js ";")
endforeach()
file(WRITE ${OUTPUT} "${all}")
