# fail2ban with two jails: SSH, and deliveries to the webhook whose signature was refused.
{ config, lib, ... }:
let
  cfg = config.berth.hardening;
in
{
  config = lib.mkIf (config.berth.features.hardening && cfg.baseline.bans) {
    services.fail2ban = {
      enable = true;
      maxretry = cfg.bans.afterTries;
      bantime = cfg.bans.duration;
      bantime-increment = {
        enable = true;
        maxtime = "7d";
      };
      ignoreIP = cfg.bans.never;
      jails = {
        sshd.settings = {
          enabled = true;
          findtime = cfg.bans.within;
          port = lib.concatMapStringsSep "," toString config.services.openssh.ports;
        };
        berth-webhook = lib.mkIf config.berth.features.ingress {
          settings = {
            enabled = true;
            findtime = cfg.bans.within;
            port = "80,443";
            filter = "berth-webhook";
            backend = "auto";
            logpath = "${config.services.caddy.logDir}/webhook.log";
          };
        };
      };
    };

    # Caddy's access log has one JSON object a line; client_ip is the sender even behind a trusted proxy.
    # A line that our own service answered 401 is a refused signature (docs/reference/http-api.md).
    environment.etc."fail2ban/filter.d/berth-webhook.conf" = lib.mkIf config.berth.features.ingress {
      text = ''
        [Definition]
        failregex = ^.*"client_ip":"<HOST>".*"uri":"/webhook/github".*"status":401\b.*$
        datepattern = "ts":{EPOCH}
      '';
    };
  };
}
