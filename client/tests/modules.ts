/** The changes of a page, made as the core makes them, for a module under test. */
import { type Module, Modules, type Services } from "../src/core/modules";

export async function modulesWith(module: Module): Promise<Modules> {
  const modules = new Modules({} as Services, async () => ({ default: () => module }));
  modules.load("hooks");
  await null;
  await null;
  return modules;
}
