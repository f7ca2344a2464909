# "127.0.0.1" and 80 -> "127.0.0.1:80"; "::1" and 80 -> "[::1]:80".
host: port:
"${if builtins.match ".*:.*" host == null then host else "[${host}]"}:${toString port}"
