# The host changes its configuration while a container answers: no request of it fails, and the change can be taken back.
{ pkgs, ... }:
let
  guest = import ../../server-config/guest/system.nix {
    # As text, so that evaluating this copies no tree into the store.
    nixpkgs = toString pkgs.path;
    inherit (pkgs.stdenv.hostPlatform) system;
    manifest = builtins.fromJSON (builtins.readFile ./preview-in-container.json);
  };
  system = guest.config.system.build.toplevel;
in
{
  name = "berth-upgrade";
  nodes.machine = {
    imports = [ ./a-host.nix ];
    virtualisation.additionalPaths = [ system ];
    specialisation.next.configuration = {
      berth.previewOperator.settings.limits.concurrency = 7;
      berth.previewContainers.allowedPorts = [ 443 ];
    };
  };

  testScript = ''
    import json

    machine.start()
    machine.wait_for_unit("berth-operator.service")
    machine.succeed("sudo -u berth mkdir -p /var/lib/berth/instances/p1/source && echo ok | sudo -u berth tee /var/lib/berth/instances/p1/source/index.html")

    def ask(verb, **arguments):
        machine.succeed("cat > /tmp/request <<'END'\n" + json.dumps({"verb": verb, **arguments}) + "\nEND")
        answer = json.loads(machine.succeed("sudo -u berth nc -U -N /run/berth-hostd/socket < /tmp/request").splitlines()[-1])
        assert "error" not in answer, answer
        return answer["result"]

    ask(
        "create-container",
        name="p1",
        system="${system}",
        environment={},
        limits={"memoryMiB": 512, "cpuPercent": 100, "tasks": 256, "diskMiB": 512},
        units=None,
    )
    ask("start-container", name="p1")
    ask("start-unit", name="p1", unit="preview.target")
    machine.wait_until_succeeds("curl --silent --fail http://10.100.0.3:3000/", timeout=60)

    # Twenty requests a second until told to stop; each failure is a line.
    machine.succeed(
        "systemd-run --unit=probe bash -c 'while [ ! -e /tmp/stop ]; do curl --silent --fail --max-time 2 --output /dev/null http://10.100.0.3:3000/ || echo failed >> /tmp/failures; sleep 0.05; done'"
    )

    with subtest("the next configuration takes effect"):
        machine.succeed("/run/current-system/specialisation/next/bin/switch-to-configuration test")
        machine.wait_for_unit("berth-operator.service")
        machine.wait_for_open_port(3100)
        machine.succeed("grep -q 'concurrency = 7' /etc/berth/berth.toml")
        machine.succeed("nft list chain inet berth outward | grep -q 'tcp dport 443 accept'")

    with subtest("the rules of the running container are still there"):
        machine.succeed("nft list map inet berth own_addresses | grep -q 've-p1'")

    with subtest("and it can be taken back"):
        machine.succeed("/nix/var/nix/profiles/system/bin/switch-to-configuration test || /run/booted-system/bin/switch-to-configuration test")
        machine.wait_for_unit("berth-operator.service")
        machine.fail("grep -q 'concurrency = 7' /etc/berth/berth.toml")

    with subtest("no request failed on the way"):
        machine.succeed("touch /tmp/stop")
        machine.wait_until_fails("systemctl is-active probe.service")
        machine.fail("test -e /tmp/failures")
  '';
}
