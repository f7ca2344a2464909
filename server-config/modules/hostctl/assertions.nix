{ config, lib, ... }:
let
  # Those of webhook/commands/hostctl/baseline.ts; test/unit/commands/hostctl/settings.test.ts holds the two together.
  items = lib.importJSON ./baseline-items.json;
  unknown = lib.subtractLists items (lib.attrNames config.berth.hostctl.optOuts);
in
{
  config.assertions = lib.mkIf config.berth.features.hostctl [
    {
      assertion = unknown == [ ];
      message = "berth.hostctl.optOuts names ${lib.concatStringsSep ", " unknown}, which is no item of the baseline. The items are: ${lib.concatStringsSep ", " items}.";
    }
    {
      assertion = lib.all (reason: reason != "") (lib.attrValues config.berth.hostctl.optOuts);
      message = "berth.hostctl.optOuts has an empty reason. Say why this host does without it.";
    }
  ];
}
