# A host boots into a working operator: what listens, what answers, who may do what.
{
  name = "berth-service-boots";
  nodes.machine = ./a-host.nix;

  testScript = ''
    import json

    machine.start()
    machine.wait_for_unit("multi-user.target")
    for unit in ["berth-tenant-rules", "berth-database-rules", "berth-hostd", "berth-operator", "berth-web", "caddy", "fail2ban", "sshd"]:
        machine.wait_for_unit(unit + ".service")
    machine.wait_for_open_port(3100)
    machine.wait_for_open_port(443)

    control = "curl --silent --insecure --resolve hooks.example.com:443:127.0.0.1 --output /dev/null --write-out '%{http_code}' "

    def status(options):
        return machine.succeed(control + options).strip()

    with subtest("two paths exist outside, and nothing else"):
        assert status("https://hooks.example.com/health") == "200"
        assert status("-X POST -d '{}' -H 'content-type: application/json' https://hooks.example.com/webhook/github") == "401"
        for path in ["/", "/ready", "/metrics", "/internal/token", "/webhook/github"]:
            assert status("https://hooks.example.com" + path) == "404", path

    with subtest("an unknown preview is a 404"):
        machine.succeed(
            "curl --silent --insecure --resolve shop-1.previews.example.net:443:127.0.0.1 --output /dev/null --write-out '%{http_code}' https://shop-1.previews.example.net/ | grep -q 404"
        )

    with subtest("what listens on all addresses is 22, 80, 443 and PostgreSQL, which the firewall holds shut"):
        listening = machine.succeed("ss --tcp --listening --numeric --no-header | awk '{print $4}' | grep -E '^(0\\.0\\.0\\.0|\\*|\\[::\\]):' | sed 's/.*://' | sort -un").split()
        assert set(listening) <= {"22", "80", "443", "5432"}, listening
        machine.succeed("nft list chain inet nixos-fw input-allow | grep -q 'tcp dport { 22, 80, 443 } accept'")

    with subtest("containers are shut in before there is one"):
        machine.succeed("nft list table inet berth | grep -q 'jump antispoof'")

    with subtest("the operator is nobody, and what it needs of root it has to ask for"):
        assert machine.succeed("systemctl show --property=User --value berth-operator").strip() == "berth"
        assert machine.succeed("systemctl show --property=User --value berth-web").strip() == "berth-web"
        machine.fail("sudo -u berth-web nc -U -z /run/berth/operator.sock")
        machine.fail("sudo -u berth-web nc -U -z /run/berth-hostd/socket")
        machine.fail("sudo -u nobody nc -U -z /run/berth-hostd/socket")
        answer = machine.succeed("echo '{\"verb\":\"list-containers\"}' | sudo -u berth nc -U -N /run/berth-hostd/socket")
        assert json.loads(answer.splitlines()[-1])["result"] == [], answer

    with subtest("the web hands in deliveries, and reads nothing"):
        psql = "sudo -u berth-web psql --no-psqlrc --dbname=berth --username=berth_web --command="
        machine.succeed(psql + "\"select from berth.accept_deliveries('{}', '{}', '{}', '{}', '{}', '{}', '{}')\"")
        machine.fail(psql + "'select from berth.previews'")
        machine.fail(psql + "'delete from berth.deliveries'")

    with subtest("either of web and operator dies alone"):
        machine.succeed("systemctl kill --signal=KILL berth-operator")
        assert status("https://hooks.example.com/health") == "200"
        machine.wait_for_unit("berth-operator.service")
        machine.succeed("systemctl kill --signal=KILL berth-web")
        machine.wait_for_open_port(3100)

    with subtest("passwords open nothing"):
        effective = machine.succeed("sshd -T")
        assert "passwordauthentication no" in effective
        assert "permitrootlogin without-password" in effective or "permitrootlogin prohibit-password" in effective

    with subtest("a reboot brings it all back"):
        machine.shutdown()
        machine.start()
        machine.wait_for_unit("berth-operator.service")
        machine.wait_for_open_port(3100)
        assert status("https://hooks.example.com/health") == "200"
  '';
}
