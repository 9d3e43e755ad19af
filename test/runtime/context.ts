let made = 0;

export default async ({ shard }: { shard: number }): Promise<object> => ({ shard, made: ++made });
